"""`cnn`: convolutions and pooling, then hidden Linear layers, with the flatten size worked out.

State dict: `whitening.conv.weight`, `features.<convolution>.conv.weight`, `features.<convolution>.norm.weight`,
`hidden.<layer>.linear.weight`, `head.weight`. The convolutions keep their bias under batch norm (which cancels it), as
the classic systems do; `conv_bias: false` leaves it out.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from netwright.config.models import Cnn
from netwright.errors import RecipeError
from netwright.models.layers import ACTIVATIONS, hidden_layers, output_layer, pieces_for
from netwright.models.request import Request
from netwright.models.whitening import Whitening, whitening_channels


class GlobalPool(nn.Module):
    """Maximum or mean over all places: (B, C, H, W) -> (B, C), for any H and W."""

    def __init__(self, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, features: Tensor) -> Tensor:
        return features.amax(dim=(2, 3)) if self.pooling == "max" else features.mean(dim=(2, 3))


class ScaledHead(nn.Linear):
    """A Linear without bias whose weights begin with standard deviation 1, times `scale`: (B, D) -> logits (B, K).

    Its weights then have the size of their updates at the same lr as the rest (Jordan 2024)."""

    def __init__(self, num_features: int, num_outputs: int, scale: float) -> None:
        super().__init__(num_features, num_outputs, bias=False)
        self.scale = scale
        with torch.no_grad():
            self.weight /= self.weight.std()

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) * self.scale


def build_cnn(model: Cnn, request: Request) -> nn.Module:
    """Build features -> flatten -> hidden layers -> one Linear. Raises RecipeError where an image is used up early."""
    height, width = _size_after_features(model, request)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    in_channels = request.in_channels
    if model.whitening is not None:
        layers["whitening"] = Whitening(in_channels, model.whitening, model.activation)
        in_channels = whitening_channels(in_channels, model.whitening) // pieces_for(model.activation)
    layers["features"] = _features(model, in_channels)
    if model.global_pooling == "none":
        layers["flatten"] = nn.Flatten()
        num_features = model.channels[-1] * height * width
    else:
        layers["global_pool"] = GlobalPool(model.global_pooling)
        num_features = model.channels[-1]
    if model.dropout:
        layers["dropout"] = nn.Dropout(model.dropout)
    if model.classifier_sizes:
        layers["hidden"] = hidden_layers(
            num_features, model.classifier_sizes, model.activation, model.classifier_batch_norm, model.dropout
        )
    layers["head"] = _head(model, (num_features, *model.classifier_sizes)[-1], request.num_outputs)
    last = output_layer(request.output, request.num_outputs)
    if last is not None:
        layers["output"] = last
    return nn.Sequential(layers)


def _head(model: Cnn, num_features: int, num_outputs: int) -> nn.Linear:
    if model.head_scale is None:
        return nn.Linear(num_features, num_outputs)
    return ScaledHead(num_features, num_outputs, model.head_scale)


def _features(model: Cnn, in_channels: int) -> nn.Sequential:
    blocks = []
    for place, channels in enumerate(model.channels, start=1):
        blocks.append(_block(model, in_channels, channels, _pools_after(model, place)))
        in_channels = channels
    return nn.Sequential(*blocks)


def _block(model: Cnn, in_channels: int, channels: int, pools: bool) -> nn.Sequential:
    """Build one convolution and what follows it: (B, in_channels, H, W) -> (B, channels, H', W')."""
    width = channels * pieces_for(model.activation)
    before, after = _padding(model)
    block: OrderedDict[str, nn.Module] = OrderedDict()
    if before != after:  # an even kernel; by hand because Conv2d(padding="same") copies, and warns that it does
        block["pad"] = nn.ZeroPad2d((before, after, before, after))
    padding = before if before == after else 0
    block["conv"] = conv = nn.Conv2d(in_channels, width, model.kernel_size, padding=padding, bias=model.conv_bias)
    if model.init == "identity":
        # the first filters hand their input channel on, the others stay as drawn
        nn.init.dirac_(conv.weight.data[:in_channels])
    pool: nn.Module = (nn.MaxPool2d if model.pooling == "max" else nn.AvgPool2d)(model.pool_size)
    if pools and model.pool_first:
        block["pool"] = pool
    if model.batch_norm:
        block["norm"] = nn.BatchNorm2d(width, eps=model.norm_eps, momentum=model.norm_momentum)
        block["norm"].weight.requires_grad_(model.norm_scale)
    # ReLU of a maximum is the maximum of ReLUs, gradients too, on a quarter of the values: 6 % of a small CNN's step
    alike = model.pooling == "max" and model.activation == "relu"
    if pools and alike and not model.pool_first:
        block["pool"] = pool
    block["activation"] = ACTIVATIONS[model.activation]()
    if pools and not (alike or model.pool_first):
        block["pool"] = pool
    return nn.Sequential(block)


def _padding(model: Cnn) -> tuple[int, int]:
    """Return the padding before (left, top) and after (right, bottom) in pixels; "same" keeps the image's size."""
    if model.padding != "same":
        return model.padding, model.padding
    total = model.kernel_size - 1
    return total // 2, total - total // 2


def _pools_after(model: Cnn, place: int) -> bool:
    return model.pooling != "none" and (model.pool_after is None or place in model.pool_after)


def _size_after_features(model: Cnn, request: Request) -> tuple[int, int]:
    """Return (height, width) before flatten, in pixels. Raises RecipeError naming the layer that finds too little."""
    height, width = request.image_size
    if model.whitening is not None:
        if min(height, width) < model.whitening:
            what = f"the whitening layer (patches of {model.whitening} × {model.whitening})"
            raise _used_up(request, (height, width), what, "take a smaller `model.whitening`")
        height, width = height - model.whitening + 1, width - model.whitening + 1
    shrink = model.kernel_size - 1 - sum(_padding(model))
    for place in range(1, len(model.channels) + 1):
        if min(height, width) - shrink < 1:
            remedy = "take a smaller `model.kernel_size`, padding 'same', fewer `model.channels`"
            what = f"convolution {place} of {len(model.channels)} (kernel {model.kernel_size}, padding {model.padding})"
            raise _used_up(request, (height, width), what, remedy)
        height, width = height - shrink, width - shrink
        if not _pools_after(model, place):
            continue
        if min(height, width) < model.pool_size:
            remedy = "name fewer convolutions in `model.pool_after`, take fewer `model.channels`"
            what = f"the pooling (size {model.pool_size}) after convolution {place} of {len(model.channels)}"
            raise _used_up(request, (height, width), what, remedy)
        height, width = height // model.pool_size, width // model.pool_size
    return height, width


def _used_up(request: Request, left: tuple[int, int], what: str, remedy: str) -> RecipeError:
    return RecipeError(
        f"the images have {request.size_text} and `model.channels` asks for more layers than that allows: {what} finds "
        f"{left[0]} × {left[1]} pixels left; {remedy} or a larger `data.image_size`"
    )
