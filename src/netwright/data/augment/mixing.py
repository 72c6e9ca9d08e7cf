"""Mixup and cutmix: the images of a batch mixed with each other, and their targets alike.

Each image meets the one before it in the batch (the first one the last), which the epoch's order makes a random one.
Its share, its box and which of the two it gets are its own, drawn for (seed, epoch, visit); so a batch stays a pure
function of (seed, epoch, number).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from netwright.config.augmentations import Augmentation, CutMix, Mixing
from netwright.data.augment.pixels import below, is_within
from netwright.runtime.randomness import uniforms

NUM_UNIFORMS = 5  # which part, whether, the share, the box's middle


class Shares(NamedTuple):
    """How much of its partner each image of a batch gets."""

    amounts: Tensor  # (B,) float32 in [0, 1]: of the target, and of every pixel where there is no box
    boxes: Tensor  # (B, 4) int64: top, left, bottom, right
    has_box: Tensor  # (B,) bool: the partner's pixels fill the box and nothing else


@dataclass(frozen=True)
class Mixer:
    """The mixing parts of a recipe."""

    parts: tuple[Mixing, ...]
    seed: int
    num_classes: int

    def __call__(self, images: Tensor, targets: Tensor, epoch: int, visits: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (B, C, H, W) float32, and targets (B,) int64 to (B, K) float32, of visits (B,) int64."""
        numbers = uniforms(self.seed, "mixing", epoch, visits.cpu(), NUM_UNIFORMS)
        shares = draw_shares(numbers, self.parts, (images.shape[2], images.shape[3]))
        shares = Shares(*(values.to(images.device, non_blocking=True) for values in shares))
        return mix_images(images, shares), mix_targets(targets, shares.amounts, self.num_classes)


def build_mixer(augmentations: tuple[Augmentation, ...], seed: int, num_classes: int) -> Mixer | None:
    """Return what mixes batches by the recipe's list; None when nothing in it does."""
    parts = tuple(part for part in augmentations if isinstance(part, Mixing))
    return Mixer(parts, seed, num_classes) if parts else None


def draw_shares(numbers: Tensor, parts: tuple[Mixing, ...], size: tuple[int, int]) -> Shares:
    """Draw each sample's part and share from uniforms (B, 5), on the CPU, for images of (height, width)."""
    which = below(numbers[:, 0], len(parts))
    alphas, rates = (torch.tensor([getattr(part, name) for part in parts])[which] for name in ("alpha", "p"))
    kept = _beta(numbers[:, 2], alphas)
    has_box = torch.tensor([isinstance(part, CutMix) for part in parts])[which]
    boxes = draw_boxes(numbers[:, 3:], kept, size)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    amounts = torch.where(has_box, areas / (size[0] * size[1]), 1 - kept)
    is_mixed = numbers[:, 1] < rates
    return Shares(amounts * is_mixed, boxes * is_mixed.unsqueeze(1), has_box)


def draw_boxes(numbers: Tensor, kept: Tensor, size: tuple[int, int]) -> Tensor:
    """Draw boxes (B, 4) of about 1 - `kept` (B,) of the area, cut at the border, as torchvision's CutMix does."""
    sizes = torch.tensor(size)
    middles = below(numbers, sizes)
    halves = (0.5 * (1 - kept).sqrt().unsqueeze(1) * sizes).long()
    return torch.cat([(middles - halves).clamp_(min=0), (middles + halves).minimum(sizes)], dim=1)


def mix_images(images: Tensor, shares: Shares) -> Tensor:
    """Mix each image with the one before it: (B, C, H, W) -> the same; the memory format is kept."""
    if shares.has_box.device.type == "cpu" and shares.has_box.all():
        return _with_boxes(images, shares.boxes)
    mixed = torch.empty_like(images)
    first, result = _planes(images), _planes(mixed)
    weights = (shares.amounts * ~shares.has_box).view(-1, 1, 1, 1)
    if shares.has_box.device.type != "cpu" or shares.has_box.any():
        tops, lefts, bottoms, rights = (shares.boxes * shares.has_box.unsqueeze(1)).unbind(dim=1)
        rows, columns = (
            is_within(tops, bottoms - tops, images.shape[2]),
            is_within(lefts, rights - lefts, images.shape[3]),
        )
        columns = columns.repeat_interleave(first.shape[3] // images.shape[3], dim=1)
        weights = weights + rows.to(images.dtype)[:, None, :, None] * columns.to(images.dtype)[:, None, None, :]
    # in two parts, since a rolled copy of the batch would cost as much as the mixing
    torch.lerp(first[1:], first[:-1], weights[1:], out=result[1:])
    torch.lerp(first[:1], first[-1:], weights[:1], out=result[:1])
    return mixed


def _with_boxes(images: Tensor, boxes: Tensor) -> Tensor:
    """Lay a box (B, 4) of the image before it on each: nothing but the boxes is computed."""
    mixed = images.clone()
    for row, (top, left, bottom, right) in enumerate(boxes.tolist()):
        mixed[row, :, top:bottom, left:right] = images[row - 1, :, top:bottom, left:right]
    return mixed


def _planes(images: Tensor) -> Tensor:
    """View images (B, C, H, W) as (B, 1, H, W * C) where they are channels_last, so that rows are whole in memory.

    Weights that are the same for an inner dimension of 3 channels are 15 times slower: 870 against 59 us an image of
    224 x 224."""
    if images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous():
        return images.permute(0, 2, 3, 1).flatten(2).unsqueeze(1)
    return images


def mix_targets(targets: Tensor, amounts: Tensor, num_classes: int) -> Tensor:
    """Mix targets (B,) int64 as the images: (B, K) float32, rows that add up to 1."""
    whole = functional.one_hot(targets, num_classes).to(torch.float32)
    return whole.lerp(whole.roll(1, 0), amounts.unsqueeze(1))


def _beta(numbers: Tensor, alphas: Tensor) -> Tensor:
    """Turn uniforms (B,) into draws from Beta(alpha, alpha), by the inverse of its distribution function."""
    from scipy.special import betaincinv  # 0.2 s to load, which only trainings that mix wait for

    alpha = alphas.double().numpy()
    return torch.from_numpy(betaincinv(alpha, alpha, numbers.double().numpy()).astype(np.float32))
