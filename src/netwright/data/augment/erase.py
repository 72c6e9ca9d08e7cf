"""Fill boxes: cutout's squares and random erasing's rectangles."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from netwright.config.augmentations import Cutout, RandomErasing
from netwright.data.augment.pixels import PixelRange, below, between, is_large, is_within

NUM_CUTOUT_UNIFORMS = 3
TRIES = 10
NUM_ERASING_UNIFORMS = 2 * TRIES + 5


def random_cutout(pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: Cutout) -> Tensor:
    """Blacken a square in each sample with probability `settings.p`: (B, H, W, C) -> the same, uniforms (B, 3)."""
    tops, lefts = draw_squares(uniforms, pixels.shape[1], pixels.shape[2], settings.size)
    sizes = torch.full_like(tops, settings.size) * (uniforms[:, 2] < settings.p)
    return erase(pixels, torch.stack([tops, lefts, sizes, sizes], dim=1), limits.black)


def draw_squares(uniforms: Tensor, height: int, width: int, size: int) -> tuple[Tensor, Tensor]:
    """Draw centres anywhere in the image; return tops and lefts (B,) int64, which may lie outside of it."""
    return below(uniforms[:, 0], height) - size // 2, below(uniforms[:, 1], width) - size // 2


def random_erasing(pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: RandomErasing) -> Tensor:
    """Fill a box in each sample with probability `settings.p`: (B, H, W, C) -> the same, uniforms (B, 25)."""
    boxes = draw_boxes(uniforms[:, :-3], pixels.shape[1], pixels.shape[2], settings.scale, settings.ratio)
    boxes[:, 2:] *= (uniforms[:, -3:-2] < settings.p).long()
    white = 1.0 if limits.white is None else limits.white
    if settings.fill == "noise":
        return erase(pixels, boxes, noise_for(pixels, uniforms[:, -2:], limits.black, white))
    value = limits.black if settings.fill == "black" else (limits.black + white) / 2
    return erase(pixels, boxes, value if pixels.is_floating_point() else float(int(value)))


def draw_boxes(
    uniforms: Tensor, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Draw boxes (B, 4) int64 (top, left, height, width) from uniforms (B, 22): torchvision's RandomErasing.

    The first of ten tries that is smaller than the image; where none is, a box of no size."""
    areas = between(uniforms[:, :TRIES], *scale) * (height * width)
    ratios = between(uniforms[:, TRIES : 2 * TRIES], math.log(ratio[0]), math.log(ratio[1])).exp()
    heights, widths = (areas * ratios).sqrt().round().long(), (areas / ratios).sqrt().round().long()
    fits = (heights < height) & (widths < width)
    first = fits.int().argmax(dim=1, keepdim=True)  # the first of equal maxima
    sizes = torch.cat([heights.gather(1, first), widths.gather(1, first)], dim=1) * fits.any(dim=1, keepdim=True)
    room = torch.tensor([height, width], device=uniforms.device) - sizes
    return torch.cat([below(uniforms[:, 2 * TRIES : 2 * TRIES + 2], room + 1), sizes], dim=1)


def erase(pixels: Tensor, boxes: Tensor, value: float | Tensor) -> Tensor:
    """Fill each sample's box (B, 4: top, left, height, width), as far as inside: (B, H, W, C) -> the same.

    `value` is one number or what would stand there, (B, H, W, C) of the pixels' dtype."""
    if is_large(pixels):
        result = pixels.clone(memory_format=torch.contiguous_format)
        for row, (top, left, height, width) in enumerate(boxes.tolist()):
            box = (row, slice(max(0, top), max(0, top + height)), slice(max(0, left), max(0, left + width)))
            result[box] = value[box] if isinstance(value, Tensor) else value
        return result
    tops, lefts, heights, widths = boxes.unbind(dim=1)
    is_row = is_within(tops, heights, pixels.shape[1])
    # one mask value for every channel's value: an inner dimension of 3 would be walked in scalar steps
    is_value = is_within(lefts, widths, pixels.shape[2]).repeat_interleave(pixels.shape[3], dim=1)
    # products of bytes: 0.7 us an image of 32 x 32 x 3 on CPU, 7 with `&` and masked_fill, which do not vectorise
    cut = is_row.to(torch.uint8).unsqueeze(2) * is_value.to(torch.uint8).unsqueeze(1)
    result = pixels.flatten(2) * (1 - cut)
    if isinstance(value, Tensor):
        result += cut * value.flatten(2)
    elif value:
        result += (cut * value).to(pixels.dtype)
    return result.view(pixels.shape)


def noise_for(pixels: Tensor, uniforms: Tensor, black: float, white: float) -> Tensor:
    """Return noise of the pixels' shape and dtype: one fixed picture, moved round by each sample's uniforms (B, 2).

    Numbers of their own for every pixel would cost more than all other transforms together."""
    _, height, width, channels = pixels.shape
    noise = _noise(height, width * channels, pixels.dtype, black, white, pixels.device)
    tops, lefts = below(uniforms[:, 0], height), below(uniforms[:, 1], width) * channels
    rows = (torch.arange(height, device=pixels.device) + tops.unsqueeze(1)) * noise.shape[1] + lefts.unsqueeze(1)
    stretches = noise.as_strided((noise.numel() - width * channels + 1, width * channels), (1, 1))
    return stretches.index_select(0, rows.flatten()).view(pixels.shape)


@lru_cache(maxsize=4)
def _noise(height: int, width: int, dtype: torch.dtype, black: float, white: float, device: torch.device) -> Tensor:
    """Return noise (2 * height, 2 * width) that repeats itself, uniform from black to white."""
    tile = torch.rand((height, width), generator=torch.Generator().manual_seed(0)) * (white - black) + black
    if not dtype.is_floating_point:
        tile = tile.round()
    return tile.to(dtype).repeat(2, 2).contiguous().to(device)
