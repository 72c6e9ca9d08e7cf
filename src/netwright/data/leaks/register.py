"""Lay one small picture over another: shift and stretch it until they agree best, and say how well they do."""

import torch
from torch import Tensor
from torch.nn import functional as F

STEPS = 4
MOST_STRETCH, MOST_SHIFT = 0.15, 0.1  # of the size: a crop of 5 % from every side stretches by 0.11
MARGIN = 0.1  # of the size, left out at every side: there a cropped copy shows nothing


def align(first: Tensor, second: Tensor, steps: int = STEPS) -> Tensor:
    """Return where each pixel of `first` lies in `second`: a grid (P, h, w, 2) as `grid_sample` takes it.

    Images are (P, h, w) float32. Stretch and shift in both directions by the inverse compositional method (Baker and
    Matthews, 2004); brightness and contrast are free in every step."""
    count, height, width = first.shape
    down, across = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    weight = window(height, width).flatten()
    steepest = _steepest(first, down, across)
    template = _standard(first.flatten(1), weight)
    # what a change of brightness and contrast can explain says nothing of where the picture lies
    steepest = steepest - _mean(steepest, weight)[..., None]
    steepest = steepest - template[:, None] * (steepest * (template * weight)[:, None]).sum(2, keepdim=True)
    weighted = steepest * weight
    normal = weighted @ steepest.transpose(1, 2)
    trace = normal.diagonal(dim1=1, dim2=2).mean(1)
    normal = normal + (1e-3 * trace + 1e-9)[:, None, None] * torch.eye(4)
    inverse = torch.linalg.inv(normal)
    place = torch.tensor([1.0, 0.0, 1.0, 0.0]).repeat(count, 1)  # stretch and shift across, then down
    for _ in range(steps):
        moved = _standard(lay_over(second, _grid(place, down, across)).flatten(1), weight)
        change = (inverse @ (weighted @ (moved - template)[..., None]))[..., 0]
        place = _compose(place, change)
    return _grid(place, down, across)


def agreement(first: Tensor, second: Tensor, grid: Tensor) -> Tensor:
    """Return the correlation (P,) of `first` with `second` laid over it, without the margin."""
    weight = window(first.shape[1], first.shape[2]).flatten()
    moved = _standard(lay_over(second, grid).flatten(1), weight)
    return (_standard(first.flatten(1), weight) * moved * weight).sum(1)


def _steepest(images: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return the change of each pixel with stretch and shift, (P, 4, h·w), in units of half the size."""
    _, height, width = images.shape
    scale = (_deviation(images) + 1e-6)[:, None, None]
    along_down, along_across = torch.gradient(images / scale, dim=(1, 2))
    along_down, along_across = along_down * ((height - 1) / 2), along_across * ((width - 1) / 2)
    parts = [along_across * across, along_across, along_down * down[:, None], along_down]
    return torch.stack([part.flatten(1) for part in parts], dim=1)


def _deviation(images: Tensor) -> Tensor:
    """Return the square root of the weighted sum of squares about the mean (P,), what `_standard` divides by."""
    weight = window(images.shape[1], images.shape[2]).flatten()
    flat = images.flatten(1)
    centred = flat - _mean(flat, weight)[:, None]
    return (centred.square() * weight).sum(1).sqrt()


def _compose(place: Tensor, change: Tensor) -> Tensor:
    """Put the inverse of a small change in front of the map so far."""
    stretch, shift = place[:, 0::2], place[:, 1::2]
    by = (1 + change[:, 0::2]).clamp(0.8, 1.25)
    stretch = (stretch / by).clamp(1 - MOST_STRETCH, 1 + MOST_STRETCH)
    shift = (shift - stretch * change[:, 1::2]).clamp(-2 * MOST_SHIFT, 2 * MOST_SHIFT)
    return torch.stack([stretch[:, 0], shift[:, 0], stretch[:, 1], shift[:, 1]], dim=1)


def _grid(place: Tensor, down: Tensor, across: Tensor) -> Tensor:
    at_across = place[:, 0, None] * across + place[:, 1, None]
    at_down = place[:, 2, None] * down + place[:, 3, None]
    shape = (len(place), len(down), len(across))
    return torch.stack([at_across[:, None, :].expand(shape), at_down[:, :, None].expand(shape)], dim=3)


def lay_over(images: Tensor, grid: Tensor) -> Tensor:
    """Return images (P, h, w) as a grid of `align` sees them; beyond the border it repeats."""
    return F.grid_sample(images[:, None], grid, padding_mode="border", align_corners=True)[:, 0]


def window(height: int, width: int) -> Tensor:
    """Return equal weights (h, w) that sum to 1 inside the margin, 0 outside."""
    weight = torch.zeros(height, width)
    top, left = round(MARGIN * height), round(MARGIN * width)
    weight[top : height - top, left : width - left] = 1
    return weight / weight.sum()


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum(-1)


def _standard(flat: Tensor, weight: Tensor) -> Tensor:
    """Return (P, h·w) with weighted mean 0 and weighted sum of squares 1."""
    centred = flat - _mean(flat, weight)[:, None]
    return centred / ((centred.square() * weight).sum(1, keepdim=True).sqrt() + 1e-6)
