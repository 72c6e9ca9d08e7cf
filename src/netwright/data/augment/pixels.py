"""What all families share: the range of the pixels, the layout for arithmetic, and scaling of uniform numbers."""

from typing import NamedTuple

import torch
from torch import Tensor


class PixelRange(NamedTuple):
    """The values of black and of white in pixels as they are stored; `white` is None where nobody declared it."""

    black: float
    white: float | None


def pixel_range(dtype: torch.dtype, value_range: tuple[float, float] | None) -> PixelRange:
    """Return 0..255 for uint8, else the declared range, else black = 0 and no white."""
    if dtype == torch.uint8:
        return PixelRange(0.0, 255.0)
    return PixelRange(*value_range) if value_range is not None else PixelRange(0.0, None)


def to_planes(pixels: Tensor, black: float) -> Tensor:
    """Convert pixels (B, H, W, C) of any dtype to new planes (B, C, H, W), float32, contiguous, black = 0.

    Planes because an inner dimension of 3 channels keeps elementwise kernels from vectorising.
    """
    planes = torch.empty(pixels.permute(0, 3, 1, 2).shape, dtype=torch.float32, device=pixels.device)
    planes.copy_(pixels.permute(0, 3, 1, 2))
    return planes.sub_(black) if black else planes


def from_planes(planes: Tensor, black: float, dtype: torch.dtype) -> Tensor:
    """Convert planes (B, C, H, W), black = 0, to contiguous pixels (B, H, W, C), rounded for an integer `dtype`."""
    if black:
        planes = planes + black
    if not dtype.is_floating_point:
        planes = planes.round()
    num_samples, channels, height, width = planes.shape
    pixels = torch.empty((num_samples, height, width, channels), dtype=dtype, device=planes.device)
    for channel in range(channels):  # twice as fast on CPU as one transposing and converting copy
        pixels[..., channel] = planes[:, channel]
    return pixels


def below(uniforms: Tensor, count: int | Tensor) -> Tensor:
    """Turn uniforms in [0, 1) into equally likely int64 numbers in [0, count); `count` may differ by element.

    The largest uniform is 1 - 2^-24; its product with any count up to 2^24 still rounds to less than the count.
    """
    return (uniforms * count).long()


def between(uniforms: Tensor, low: float, high: float) -> Tensor:
    """Turn uniforms in [0, 1) into float32 numbers that are uniform from `low` to `high`."""
    return uniforms * (high - low) + low


def per_sample(values: Tensor) -> Tensor:
    """Reshape (B,) to (B, 1, 1, 1), to meet a batch of images."""
    return values.view(-1, 1, 1, 1)
