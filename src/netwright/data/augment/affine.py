"""Rotate, move, scale and shear: where each pixel comes from, and fetching it from there.

Geometry alone: the same matrices move an image and whatever belongs to it.
"""

from functools import lru_cache
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.config.augmentations import Affine, Rotation
from netwright.data.augment.pixels import PixelRange, between, from_planes, in_turn, to_planes

NUM_UNIFORMS = 5
Interpolation = Literal["bilinear", "nearest"]


class Motion(NamedTuple):
    """What is done to each sample, in torchvision's words: shear, scale, rotate clockwise, then move."""

    angles: Tensor  # (B,) degrees
    moves: Tensor  # (B, 2) pixels to the right and down
    scales: Tensor  # (B,) 2 is twice as large
    shears: Tensor  # (B, 2) degrees along x and y


def still(num_samples: int, device: torch.device) -> Motion:
    """Return the motion that leaves everything where it is."""
    zeros = torch.zeros((num_samples, 2), device=device)
    return Motion(zeros[:, 0], zeros, torch.ones(num_samples, device=device), zeros)


def random_affine(
    pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: Affine, how: Interpolation = "bilinear"
) -> Tensor:
    """Move each sample by its own motion: (B, H, W, C) -> the same, uniforms (B, 5)."""
    motion = draw_motion(uniforms, settings, (pixels.shape[1], pixels.shape[2]))
    return warp(pixels, source_matrices(motion), how, limits.black)


def draw_motion(uniforms: Tensor, settings: Affine, size: tuple[int, int]) -> Motion:
    """Draw the motion of samples of (height, width) from uniforms (B, 5); moves are whole pixels, as torchvision's."""
    height, width = size
    down, across = settings.translate[1] * height, settings.translate[0] * width
    moves = torch.stack([between(uniforms[:, 1], -across, across), between(uniforms[:, 2], -down, down)], dim=1).round()
    shears = between(uniforms[:, 4], -settings.shear, settings.shear)
    return Motion(
        between(uniforms[:, 0], -settings.degrees, settings.degrees),
        moves,
        between(uniforms[:, 3], *settings.scale),
        torch.stack([shears, torch.zeros_like(shears)], dim=1),
    )


def random_rotation(
    pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: Rotation, how: Interpolation = "bilinear"
) -> Tensor:
    """Rotate each sample by its own angle in [-degrees, degrees): (B, H, W, C) -> the same, uniforms (B, 1)."""
    return rotate(pixels, between(uniforms[:, 0], -settings.degrees, settings.degrees), limits.black, how)


def rotate(pixels: Tensor, angles_degrees: Tensor, black: float = 0.0, how: Interpolation = "bilinear") -> Tensor:
    """Rotate counter-clockwise by angles (B,); what comes from outside is black: (B, H, W, C) -> the same."""
    motion = still(len(pixels), pixels.device)._replace(angles=-angles_degrees)
    return warp(pixels, source_matrices(motion), how, black)


def source_matrices(motion: Motion, pivots: Tensor | None = None) -> Tensor:
    """Return where the pixels come from: (B, 2, 3) float32, from places relative to the centre to such places.

    `pivots` (B, 2), what is turned and sheared about, are relative to the centre too (default: the centre itself). The
    formula is torchvision's `_get_inverse_affine_matrix`."""
    # in fp64 as there (MPS has none): places halfway between two pixels are common, and nearest decides by the last bit
    precise = torch.float32 if motion.angles.device.type == "mps" else torch.float64
    angles, shears = motion.angles.to(precise).deg2rad(), motion.shears.to(precise).deg2rad()
    scales, moves = motion.scales.to(precise), motion.moves.to(precise)
    x_shears, y_shears = shears.unbind(dim=1)
    a, c = (turned / y_shears.cos() for turned in ((angles - y_shears).cos(), (angles - y_shears).sin()))
    b, d = -(a * x_shears.tan() + angles.sin()), angles.cos() - c * x_shears.tan()
    turn = (torch.stack([d, -b, -c, a], dim=1) / scales.unsqueeze(1)).view(-1, 2, 2)
    pivots = torch.zeros_like(moves) if pivots is None else pivots.to(precise)
    shift = pivots - (turn * (pivots + moves).unsqueeze(1)).sum(dim=2)
    return torch.cat([turn, shift.unsqueeze(2)], dim=2).float()


def warp(pixels: Tensor, matrices: Tensor, how: Interpolation, black: float = 0.0) -> Tensor:
    """Fetch every pixel from where its sample's matrix (B, 2, 3) says, black from outside: (B, H, W, C) -> the same."""
    fetch = _fetch_nearest if how == "nearest" else _fetch_bilinear
    return in_turn(pixels, lambda some, of_some: fetch(some, of_some, black), matrices)


def _fetch_bilinear(pixels: Tensor, matrices: Tensor, black: float) -> Tensor:
    height, width = pixels.shape[1:3]
    across, down = _places(height, width, pixels.device)
    grid = torch.empty((len(matrices), height, width, 2), device=pixels.device)
    for axis, size in ((0, width), (1, height)):
        row = (matrices[:, axis] * (2 / size)).view(-1, 3, 1, 1)  # to (x, y) in [-1, 1] from edge to edge
        torch.add(row[:, 0] * across, row[:, 1] * down + row[:, 2], out=grid[..., axis])
    planes = F.grid_sample(to_planes(pixels, black), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return from_planes(planes, black, pixels.dtype)


def _fetch_nearest(pixels: Tensor, matrices: Tensor, black: float) -> Tensor:
    """Do `warp` by copying whole pixels: for 224 x 224 x 3 bytes half the time of `grid_sample` alone, on floats."""
    num_samples, height, width, channels = pixels.shape
    across, down = _places(height, width, pixels.device)
    corner = ((width - 1) / 2, (height - 1) / 2)
    found = []
    for axis in (0, 1):
        row = matrices[:, axis].view(-1, 3, 1, 1)
        found.append((row[:, 0] * across + (row[:, 1] * down + (row[:, 2] + corner[axis]))).round_())
    columns, rows = found
    outside = (columns != columns.clamp(0, width - 1)).logical_or_(rows != rows.clamp(0, height - 1))
    places = rows.mul_(width).add_(columns).long()
    places += torch.arange(num_samples, device=pixels.device).view(-1, 1, 1) * (height * width)
    places.masked_fill_(outside, num_samples * height * width)
    known = torch.cat([pixels.reshape(-1, channels), torch.full((1, channels), black, device=pixels.device).to(pixels)])
    return known.index_select(0, places.flatten()).view(pixels.shape)


@lru_cache(maxsize=8)
def _places(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return how far right (1, W) and down (H, 1) of the centre the pixels' middles are."""
    across = torch.arange(width, device=device) - (width - 1) / 2
    down = torch.arange(height, device=device) - (height - 1) / 2
    return across.unsqueeze(0), down.unsqueeze(1)
