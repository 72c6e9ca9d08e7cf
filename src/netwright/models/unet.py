"""`unet`: a class for each pixel. Down to coarse features, up again to the image's size, with a skip at every level.

State dict: `encoder.blocks.<level>.conv1.weight`, `decoder.<level>.up.weight`, `decoder.<level>.block.conv1.weight`,
`head.weight`; with one of torchvision's networks as encoder that one's own names behind `encoder.`.
Source: O. Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation" (2015), with padding,
so that masks have the image's size.
"""

from collections import OrderedDict
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from netwright.config.models import Unet
from netwright.errors import RecipeError
from netwright.models.encoder import Encoder, build_encoder
from netwright.models.request import Request
from netwright.models.torchvision_models import needs_logits

DEPTH = 4


def conv_block(in_channels: int, channels: int, model: Unet) -> nn.Sequential:
    """Build two convolutions, each with batch norm and ReLU: (B, in_channels, H, W) -> (B, channels, H, W)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for place, wide in ((1, in_channels), (2, channels)):
        layers[f"conv{place}"] = nn.Conv2d(wide, channels, 3, padding=1, bias=not model.batch_norm)
        if model.batch_norm:
            layers[f"norm{place}"] = nn.BatchNorm2d(channels)
        layers[f"relu{place}"] = nn.ReLU(inplace=True)
    if model.dropout:
        layers["dropout"] = nn.Dropout2d(model.dropout)
    return nn.Sequential(layers)


class WayDown(nn.Module):
    """Blocks with a halving before each but the first: (B, C, H, W) -> their outputs, the full size first."""

    def __init__(self, in_channels: int, widths: list[int], model: Unet) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            conv_block(before, wide, model) for before, wide in zip([in_channels, *widths], widths, strict=False)
        )
        self.halve = nn.MaxPool2d(2)
        self.channels = tuple(widths)
        self.factors = (2,) * (len(widths) - 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        levels = [self.blocks[0](images)]
        for block in list(self.blocks)[1:]:
            levels.append(block(self.halve(levels[-1])))
        return levels


class Up(nn.Module):
    """Enlarge to the size of the skip, and join both: (B, in_channels, h, w), (B, skip, H, W) -> (B, C, H, W)."""

    def __init__(self, in_channels: int, skip_channels: int, channels: int, factor: int, model: Unet) -> None:
        super().__init__()
        self.transposed = model.up == "transposed"
        # a 1 × 1 convolution before bilinear doubling gives what it would behind it, at a quarter of the cost
        self.up: nn.Module = (
            nn.ConvTranspose2d(in_channels, channels, factor, stride=factor)
            if self.transposed
            else nn.Conv2d(in_channels, channels, 1)
        )
        self.block = conv_block(channels + skip_channels, channels, model)

    def forward(self, values: Tensor, skip: Tensor) -> Tensor:
        size = (skip.shape[2], skip.shape[3])
        values = self.up(values)
        values = _fitted(values, size) if self.transposed else functional.interpolate(values, size, mode="bilinear")
        joined: Tensor = self.block(torch.cat([skip, values], dim=1))
        return joined


def _fitted(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat or cut the last rows and columns of (B, C, h, w): halving an odd size loses one."""
    down, across = size[0] - values.shape[2], size[1] - values.shape[3]
    if down > 0 or across > 0:
        values = functional.pad(values, (0, max(across, 0), 0, max(down, 0)), mode="replicate")
    return values[:, :, : size[0], : size[1]]


class UNet(nn.Module):
    """Images (B, C, H, W) of any size -> logits (B, num_outputs, H, W)."""

    encoder_path = "encoder"  # what may come with weights, and be frozen as the backbone

    def __init__(self, encoder: WayDown | Encoder, model: Unet, num_outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.multiple = prod(encoder.factors)  # of a size that the halvings divide without a rest
        widths = [model.width * 2**level for level in range(len(encoder.factors))]
        below = [*widths[1:], encoder.channels[-1]]  # channels of what comes up from the level below
        levels = zip(below, encoder.channels[:-1], widths, encoder.factors, strict=True)
        self.decoder = nn.ModuleList(Up(*sizes, model) for sizes in levels)
        self.head = nn.Conv2d(widths[0], num_outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        levels = self.encoder(images)
        values = levels.pop()
        for up in reversed(list(self.decoder)):
            values = up(values, levels.pop())
        logits: Tensor = self.head(values)
        return logits


def build_unet(model: Unet, request: Request) -> nn.Module:
    """Build a U-Net. Raises RecipeError for images that are halved to nothing, and encoders that are none."""
    needs_logits(model.name, request)
    if model.encoder is not None:
        return UNet(build_encoder(model.encoder, request, model.depth), model, request.num_outputs)
    depth = DEPTH if model.depth is None else model.depth
    if min(request.image_size) >> depth == 0:
        raise RecipeError(
            f"`model.depth` is {depth} and the images have {request.size_text}, which can't be halved so often; take "
            f"{min(request.image_size).bit_length() - 1} or less"
        )
    way_down = WayDown(request.in_channels, [model.width * 2**level for level in range(depth + 1)], model)
    return UNet(way_down, model, request.num_outputs)
