"""`cnn`: convolutions and pooling, then hidden Linear layers, with the flatten size worked out.

State dict: `features.<convolution>.conv.weight`, `features.<convolution>.norm.weight`, `hidden.<layer>.linear.weight`,
`head.weight`. The convolutions keep their bias under batch norm (which cancels it), as the classic systems do.
"""

from collections import OrderedDict

from torch import nn

from netwright.config.models import Cnn
from netwright.errors import RecipeError
from netwright.models.layers import ACTIVATIONS, hidden_layers, output_layer, pieces_for
from netwright.models.request import Request


def build_cnn(model: Cnn, request: Request) -> nn.Module:
    """Build features -> flatten -> hidden layers -> one Linear. Raises RecipeError where an image is used up early."""
    height, width = _size_after_features(model, request)
    num_features = model.channels[-1] * height * width
    layers: OrderedDict[str, nn.Module] = OrderedDict(features=_features(model, request.in_channels))
    layers["flatten"] = nn.Flatten()
    if model.dropout:
        layers["dropout"] = nn.Dropout(model.dropout)
    if model.classifier_sizes:
        layers["hidden"] = hidden_layers(
            num_features, model.classifier_sizes, model.activation, model.classifier_batch_norm, model.dropout
        )
    layers["head"] = nn.Linear((num_features, *model.classifier_sizes)[-1], request.num_outputs)
    last = output_layer(request.output, request.num_outputs)
    if last is not None:
        layers["output"] = last
    return nn.Sequential(layers)


def _features(model: Cnn, in_channels: int) -> nn.Sequential:
    blocks = []
    before, after = _padding(model)
    for place, channels in enumerate(model.channels, start=1):
        width = channels * pieces_for(model.activation)
        block: OrderedDict[str, nn.Module] = OrderedDict()
        if before != after:  # an even kernel; by hand because Conv2d(padding="same") copies, and warns that it does
            block["pad"] = nn.ZeroPad2d((before, after, before, after))
        block["conv"] = nn.Conv2d(in_channels, width, model.kernel_size, padding=before if before == after else 0)
        if model.batch_norm:
            block["norm"] = nn.BatchNorm2d(width)
        block["activation"] = ACTIVATIONS[model.activation]()
        if _pools_after(model, place):
            pool = nn.MaxPool2d if model.pooling == "max" else nn.AvgPool2d
            block["pool"] = pool(model.pool_size)
        blocks.append(nn.Sequential(block))
        in_channels = channels
    return nn.Sequential(*blocks)


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
