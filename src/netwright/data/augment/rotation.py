"""Rotate about the centre."""

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.config.augmentations import Rotation
from netwright.data.augment.pixels import PixelRange, between, from_planes, to_planes

NUM_UNIFORMS = 1


def random_rotation(pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: Rotation) -> Tensor:
    """Rotate each sample by its own angle in [-degrees, degrees): (B, H, W, C) -> the same, uniforms (B, 1)."""
    return rotate(pixels, between(uniforms[:, 0], -settings.degrees, settings.degrees), limits.black)


def rotate(pixels: Tensor, angles_degrees: Tensor, black: float = 0.0) -> Tensor:
    """Rotate counter-clockwise by angles (B,), bilinear, what comes from outside is black: (B, H, W, C) -> the same."""
    planes = F.grid_sample(
        to_planes(pixels, black),
        _sampling_grid(angles_degrees, pixels.shape[1], pixels.shape[2]),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return from_planes(planes, black, pixels.dtype)


def _sampling_grid(angles_degrees: Tensor, height: int, width: int) -> Tensor:
    """Return where each output pixel comes from, (B, height, width, 2) as (x, y) in [-1, 1] from edge to edge."""
    angles = angles_degrees.float().deg2rad()
    cosines, sines = angles.cos().view(-1, 1, 1), angles.sin().view(-1, 1, 1)
    right = torch.arange(width, device=angles.device).view(1, 1, -1) - (width - 1) / 2
    down = torch.arange(height, device=angles.device).view(1, -1, 1) - (height - 1) / 2
    grid = torch.empty((len(angles), height, width, 2), device=angles.device)
    grid[..., 0] = (cosines * right - sines * down) * (2 / width)
    grid[..., 1] = (sines * right + cosines * down) * (2 / height)
    return grid
