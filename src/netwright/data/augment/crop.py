"""Pad and crop: windows of one size, each sample's at its own place."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.config.augmentations import RandomCrop, RandomWindow
from netwright.data.augment.pixels import PixelRange, below

NUM_UNIFORMS = 2


def random_crop(pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: RandomCrop) -> Tensor:
    """Pad every side, then cut a window of the pixels' own size: (B, H, W, C) -> the same, uniforms (B, 2)."""
    height, width = pixels.shape[1:3]
    tops, lefts = draw_offsets(uniforms, settings.padding)
    return crop(pad(pixels, settings.padding, settings.mode, limits.black), tops, lefts, height, width)


def random_window(pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: RandomWindow) -> Tensor:
    """Cut a window of `settings.size` somewhere: (B, H, W, C) -> (B, size, size, C), uniforms (B, 2)."""
    size = settings.size
    tops = below(uniforms[:, 0], pixels.shape[1] - size + 1)
    lefts = below(uniforms[:, 1], pixels.shape[2] - size + 1)
    return crop(pixels, tops, lefts, size, size)


def draw_offsets(uniforms: Tensor, padding: int) -> tuple[Tensor, Tensor]:
    """Draw tops and lefts (B,) int64, each of 0 ... 2 * padding equally likely, from uniforms (B, 2)."""
    offsets = below(uniforms, 2 * padding + 1)
    return offsets[:, 0], offsets[:, 1]


def pad(pixels: Tensor, padding: int, mode: Literal["zero", "reflect"], black: float = 0.0) -> Tensor:
    """Add `padding` pixels on every side: (B, H, W, C) -> (B, H + 2 * padding, W + 2 * padding, C).

    `reflect` mirrors without repeating the border, again and again where padding >= H, as numpy.pad does.
    """
    if mode == "zero":
        return F.pad(pixels, (0, 0, padding, padding, padding, padding), value=black)
    num_samples, height, width, channels = pixels.shape
    padded = pixels.new_empty((num_samples, height + 2 * padding, width + 2 * padding, channels))
    middle = padded[:, padding : padding + height]
    middle[:, :, padding : padding + width] = pixels
    rows, columns = _reflected(height, padding, pixels.device), _reflected(width, padding, pixels.device)
    middle[:, :, :padding] = pixels.index_select(2, columns[:padding])
    middle[:, :, padding + width :] = pixels.index_select(2, columns[padding + width :])
    padded[:, :padding] = middle.index_select(1, rows[:padding])
    padded[:, padding + height :] = middle.index_select(1, rows[padding + height :])
    return padded


def _reflected(size: int, padding: int, device: torch.device) -> Tensor:
    period = max(2 * (size - 1), 1)
    places = torch.arange(-padding, size + padding, device=device).remainder(period)
    return torch.minimum(places, period - places).clamp_(0, size - 1)


def crop(pixels: Tensor, tops: Tensor, lefts: Tensor, height: int, width: int) -> Tensor:
    """Cut each sample's window of height x width at its top and left (B,): (B, H, W, C) -> (B, height, width, C)."""
    pixels = pixels.contiguous()
    num_samples, rows_in, columns_in, channels = pixels.shape
    samples = torch.arange(num_samples, device=pixels.device)
    firsts = ((samples * rows_in + tops) * columns_in + lefts) * channels
    rows = firsts.unsqueeze(1) + torch.arange(height, device=pixels.device) * (columns_in * channels)
    # A row of a window is one stretch of memory, and `stretches` are all there are, wherever they begin: picking from
    # them takes 0.35 us an image of 32 x 32 x 3 on CPU, an index into the view of all windows from `unfold` 2.9.
    stretches = pixels.as_strided((pixels.numel() - width * channels + 1, width * channels), (1, 1))
    return stretches.index_select(0, rows.flatten()).view(num_samples, height, width, channels)


def centre_crop(pixels: Tensor, height: int, width: int) -> Tensor:
    """Cut the middle as torchvision's CenterCrop does: (B, H, W, C), H >= height, W >= width -> a view."""
    top, left = round((pixels.shape[1] - height) / 2), round((pixels.shape[2] - width) / 2)
    return pixels[:, top : top + height, left : left + width]
