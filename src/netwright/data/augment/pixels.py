"""What all families share: the range of the pixels, the layout for arithmetic, and scaling of uniform numbers."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

_LARGE_BYTES = 2**16


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
        planes = as_dtype(planes.round(), dtype)
    num_samples, channels, height, width = planes.shape
    pixels = torch.empty((num_samples, height, width, channels), dtype=dtype, device=planes.device)
    for channel in range(channels):  # twice as fast on CPU as one transposing and converting copy
        pixels[..., channel] = planes[:, channel]
    return pixels


def as_dtype(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert floats that `dtype` can hold, without their fractions where it holds none.

    By int16 to bytes: 150,000 numbers take 16 us on a CPU, and 78 at once."""
    return values.to(torch.int16).to(dtype) if dtype == torch.uint8 else values.to(dtype)


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


def is_within(starts: Tensor, lengths: Tensor | int, count: int) -> Tensor:
    """Say which of `count` places lie in each sample's stretch from its start: (B,) -> (B, count) bool."""
    places = torch.arange(count, device=starts.device) - starts.unsqueeze(1)
    return (places >= 0) & (places < (lengths if isinstance(lengths, int) else lengths.unsqueeze(1)))


def is_large(pixels: Tensor) -> bool:
    """Say whether images (B, ...) are changed faster one after the other: on a CPU, where each stays in its cache."""
    return pixels.device.type == "cpu" and len(pixels) > 0 and pixels[0].nbytes >= _LARGE_BYTES


def in_turn(pixels: Tensor, change: Callable[..., Tensor], *parameters: Tensor | None) -> Tensor:
    """Change samples, each by its own of parameters (B, ...), large ones one after the other: (B, H, W, C) -> the same.

    `change` takes some of the pixels and of each of the parameters."""
    if not is_large(pixels):
        return change(pixels, *parameters)
    made = torch.empty_like(pixels, memory_format=torch.contiguous_format)
    for place in range(len(pixels)):
        one = slice(place, place + 1)
        made[one] = change(pixels[one], *(None if each is None else each[one] for each in parameters))
    return made


def chosen(pixels: Tensor, mask: Tensor, change: Callable[..., Tensor], *parameters: Tensor) -> Tensor:
    """Do `in_turn` to the samples where `mask` (B,) is true; the others stay: (B, H, W, C) -> the same."""
    if is_large(pixels):
        made = torch.empty_like(pixels, memory_format=torch.contiguous_format)
        for place, is_chosen in enumerate(mask.tolist()):
            one = slice(place, place + 1)
            made[one] = change(pixels[one], *(each[one] for each in parameters)) if is_chosen else pixels[one]
        return made
    places = mask.nonzero().squeeze(1)
    if not len(places):
        return pixels
    if len(places) == len(pixels):
        return change(pixels, *parameters)
    changed = change(pixels.index_select(0, places), *(each[places] for each in parameters))
    return _words(pixels).index_copy(0, places, _words(changed)).view(pixels.dtype).view(pixels.shape)


def _words(pixels: Tensor) -> Tensor:
    """View samples (B, ...) as (B, M) of 8 bytes where they can be: bytes are copied one by one, 3 times as slowly."""
    rows = pixels.contiguous().flatten(1)
    fits = rows.shape[1] * rows.element_size() % 8 == 0 and rows.storage_offset() * rows.element_size() % 8 == 0
    return rows.view(torch.int64) if fits else rows


def may_be_any(values: Tensor) -> bool:
    """Say whether any of values (B,) is not 0; no device is waited for: there it is always true."""
    return values.device.type != "cpu" or bool(values.any())


def clamped(values: Tensor, limits: PixelRange) -> Tensor:
    """Keep values, black = 0, within black and white where white is known, in place, and put black back where it is."""
    if limits.white is not None:
        values.clamp_(0, limits.white - limits.black)
    return values.add_(limits.black) if limits.black else values


def contrast_of(limits: PixelRange) -> float:
    """Return white minus black; 1 for floats whose white nobody declared, as in torchvision."""
    return 1.0 if limits.white is None else limits.white - limits.black
