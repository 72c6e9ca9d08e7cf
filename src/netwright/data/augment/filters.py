"""Blur and sharpen: each pixel from its neighbours, by sums of moved copies, so that a sample's bits are its own."""

import torch
from torch import Tensor

from netwright.config.augmentations import GaussianBlur
from netwright.data.augment.crop import pad
from netwright.data.augment.pixels import PixelRange, as_dtype, between, chosen, clamped

NUM_UNIFORMS = 2


def random_blur(pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: GaussianBlur) -> Tensor:
    """Blur each sample with probability `settings.p`: (B, H, W, C) -> the same, uniforms (B, 2)."""
    sigmas = between(uniforms[:, 0], *settings.sigma)
    some = uniforms[:, 1] < settings.p
    return chosen(pixels, some, lambda part, of_part: gaussian_blur(part, of_part, settings.kernel_size), sigmas)


def gaussian_blur(pixels: Tensor, sigmas: Tensor, kernel_size: int) -> Tensor:
    """Blur with standard deviations (B,) in pixels, borders mirrored: (B, H, W, C) -> the same.

    Two passes along rows and columns; torchvision's kernel is their product."""
    reach = kernel_size // 2
    offsets = torch.arange(-reach, reach + 1, device=pixels.device)
    weights = (-0.5 * (offsets / sigmas.unsqueeze(1)) ** 2).softmax(dim=1)
    height, width, channels = pixels.shape[1:]
    padded = pad(pixels, reach, "reflect").flatten(2).float()
    down = _weighted([padded[:, start : start + height] for start in range(kernel_size)], weights)
    stretch = width * channels
    blurred = _weighted(
        [down[:, :, start * channels : start * channels + stretch] for start in range(kernel_size)], weights
    )
    return _as(blurred if pixels.is_floating_point() else blurred.round_(), pixels)


def sharpen(pixels: Tensor, factors: Tensor, limits: PixelRange) -> Tensor:
    """Move each sample away from its smoothed self by factors (B,): (B, H, W, C) -> the same; 0 is the smoothed one.

    The border stays. Smoothed means [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13, as in Pillow and torchvision."""
    height, width, channels = pixels.shape[1:]
    if min(height, width) <= 2:
        return pixels
    planes = pixels.flatten(2).float()
    if limits.black:
        planes = planes - limits.black
    rows = planes[:, :-2] + planes[:, 1:-1] + planes[:, 2:]
    inner = planes[:, 1:-1, channels:-channels]
    smooth = (rows[..., : -2 * channels] + rows[..., channels:-channels] + rows[..., 2 * channels :]).add_(
        inner, alpha=4
    )
    smooth.mul_(1 / 13)
    if not pixels.is_floating_point():
        smooth.round_()
    result = planes.clone()
    result[:, 1:-1, channels:-channels] += (smooth - inner).mul_((1 - factors).view(-1, 1, 1))
    return _as(clamped(result, limits), pixels)


def _weighted(moved: list[Tensor], weights: Tensor) -> Tensor:
    total = moved[0] * weights[:, 0].view(-1, 1, 1)
    for place, each in enumerate(moved[1:], start=1):
        total.addcmul_(each, weights[:, place].view(-1, 1, 1))
    return total


def _as(values: Tensor, pixels: Tensor) -> Tensor:
    return as_dtype(values, pixels.dtype).view(pixels.shape)
