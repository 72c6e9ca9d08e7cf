"""Blacken a square (DeVries & Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout")."""

import torch
from torch import Tensor

from netwright.config.augmentations import Cutout
from netwright.data.augment.pixels import PixelRange, below

NUM_UNIFORMS = 3


def random_cutout(pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: Cutout) -> Tensor:
    """Blacken a square in each sample with probability `settings.p`: (B, H, W, C) -> the same, uniforms (B, 3)."""
    tops, lefts = draw_squares(uniforms, pixels.shape[1], pixels.shape[2], settings.size)
    return cut_out(pixels, tops, lefts, settings.size, uniforms[:, 2] < settings.p, limits.black)


def draw_squares(uniforms: Tensor, height: int, width: int, size: int) -> tuple[Tensor, Tensor]:
    """Draw centres anywhere in the image; return tops and lefts (B,) int64, which may lie outside of it."""
    return below(uniforms[:, 0], height) - size // 2, below(uniforms[:, 1], width) - size // 2


def cut_out(pixels: Tensor, tops: Tensor, lefts: Tensor, size: int, mask: Tensor, black: float = 0.0) -> Tensor:
    """Blacken `size` pixels from tops and lefts (B,), as far as inside, where `mask` (B,): (B, H, W, C) -> the same."""
    is_row = _is_within(tops, size, pixels.shape[1]) & mask.unsqueeze(1)
    is_column = _is_within(lefts, size, pixels.shape[2])
    # one mask value for every channel's value: an inner dimension of 3 would be walked in scalar steps
    is_value = is_column.repeat_interleave(pixels.shape[3], dim=1)
    # products of bytes: 0.7 us an image of 32 x 32 x 3 on CPU, 7 with `&` and masked_fill, which do not vectorise
    cut = is_row.to(torch.uint8).unsqueeze(2) * is_value.to(torch.uint8).unsqueeze(1)
    result = pixels.flatten(2) * (1 - cut)
    if black:
        result += (cut * black).to(pixels.dtype)
    return result.view(pixels.shape)


def _is_within(starts: Tensor, length: int, count: int) -> Tensor:
    places = torch.arange(count, device=starts.device) - starts.unsqueeze(1)
    return (places >= 0) & (places < length)
