"""RandAugment (Cubuk et al. 2020) and TrivialAugment Wide (Müller & Hutter 2021): operations drawn for each sample.

Operations and strengths are torchvision's tables. The samples that drew the same operation get it in one call, and all
that are sheared, moved or rotated together in one.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from netwright.config.augmentations import RandAugment
from netwright.data.augment import filters, tone
from netwright.data.augment.affine import source_matrices, still, warp
from netwright.data.augment.pixels import PixelRange, below, is_large

NUM_MAGNITUDES = 31
Change = Callable[[Tensor, Tensor, PixelRange], Tensor]  # pixels (n, H, W, C), strengths (n,) -> pixels

MOTIONS = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
TONES: dict[str, Change] = {
    "brightness": lambda pixels, strengths, limits: tone.brighten(pixels, 1 + strengths, limits),
    "color": lambda pixels, strengths, limits: tone.saturate(pixels, 1 + strengths, limits),
    "contrast": lambda pixels, strengths, limits: tone.add_contrast(pixels, 1 + strengths, limits),
    "sharpness": lambda pixels, strengths, limits: filters.sharpen(pixels, 1 + strengths, limits),
    "posterize": tone.posterize,
    "solarize": tone.solarize,
    "autocontrast": lambda pixels, strengths, limits: tone.autocontrast(pixels, limits),
    "equalize": lambda pixels, strengths, limits: tone.equalize(pixels, limits),
}
OPERATIONS = ("identity", *MOTIONS, *TONES)
SIGNED = (*MOTIONS, "brightness", "color", "contrast", "sharpness")


def random_operations(pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: RandAugment) -> Tensor:
    """Apply `num_ops` operations to each sample: (B, H, W, C) -> the same, uniforms (B, 2 * num_ops)."""
    table = rand_augment_strengths(pixels.shape[1], pixels.shape[2]).to(pixels.device)
    for place in range(settings.num_ops):
        numbers = below(uniforms[:, 2 * place], len(OPERATIONS))
        strengths = _with_sign(table[numbers, settings.magnitude], numbers, uniforms[:, 2 * place + 1])
        pixels = apply_operations(pixels, numbers, strengths, limits)
    return pixels


def random_trivial(pixels: Tensor, uniforms: Tensor, limits: PixelRange) -> Tensor:
    """Apply one operation of random strength to each sample: (B, H, W, C) -> the same, uniforms (B, 3)."""
    numbers = below(uniforms[:, 0], len(OPERATIONS))
    strengths = trivial_strengths().to(pixels.device)[numbers, below(uniforms[:, 1], NUM_MAGNITUDES)]
    return apply_operations(pixels, numbers, _with_sign(strengths, numbers, uniforms[:, 2]), limits)


@lru_cache(maxsize=8)
def rand_augment_strengths(height: int, width: int) -> Tensor:
    """Return RandAugment's strengths for images of height x width pixels, (14, 31): by operation and magnitude."""
    moves = {"translate_x": 150 / 331 * width, "translate_y": 150 / 331 * height}
    most = {"shear_x": 0.3, "shear_y": 0.3, **moves, "rotate": 30.0}
    return _table({**most, **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), 0.9)}, lost_bits=4)


@lru_cache(maxsize=1)
def trivial_strengths() -> Tensor:
    """Return TrivialAugment Wide's strengths, (14, 31): by operation and magnitude."""
    most = {**dict.fromkeys(SIGNED, 0.99), "translate_x": 32.0, "translate_y": 32.0, "rotate": 135.0}
    return _table(most, lost_bits=6)


def _table(most: dict[str, float], lost_bits: int) -> Tensor:
    rising = {name: torch.linspace(0.0, value, NUM_MAGNITUDES) for name, value in most.items()}
    bits = 8 - (torch.arange(NUM_MAGNITUDES) / ((NUM_MAGNITUDES - 1) / lost_bits))
    known = {**rising, "posterize": bits.round(), "solarize": torch.linspace(1.0, 0.0, NUM_MAGNITUDES)}
    return torch.stack([known.get(name, torch.zeros(NUM_MAGNITUDES)) for name in OPERATIONS])


def _with_sign(strengths: Tensor, numbers: Tensor, uniforms: Tensor) -> Tensor:
    signed = torch.tensor([name in SIGNED for name in OPERATIONS], device=numbers.device)[numbers]
    return torch.where(signed & (uniforms < 0.5), -strengths, strengths)


def apply_operations(pixels: Tensor, numbers: Tensor, strengths: Tensor, limits: PixelRange) -> Tensor:
    """Apply to each sample its operation: (B, H, W, C) -> the same.

    `numbers` (B,) are places in OPERATIONS, `strengths` (B,) have their signs."""
    result = pixels.clone()
    in_motion = (numbers >= 1) & (numbers <= len(MOTIONS))
    for number in sorted(set(numbers.masked_fill(in_motion, 1).tolist()) - {0}):
        places = (in_motion if number == 1 else numbers == number).nonzero().squeeze(1)
        how_much = strengths[places]
        if number == 1:
            how_much = motion_matrices(numbers[places], how_much, pixels.shape[1], pixels.shape[2])
            change: Change = lambda part, matrices, limits: warp(part, matrices, "nearest", limits.black)
        else:
            change = TONES[OPERATIONS[number]]
        if is_large(pixels):
            for row, of_row in zip(places.tolist(), torch.split(how_much, 1), strict=True):
                result[row] = change(pixels[row : row + 1], of_row, limits)[0]
        else:
            result.index_copy_(0, places, change(pixels.index_select(0, places), how_much, limits))
    return result


def motion_matrices(numbers: Tensor, strengths: Tensor, height: int, width: int) -> Tensor:
    """Return the matrices (n, 2, 3) of operations among MOTIONS; shears are about the upper left corner."""
    of = {name: torch.where(numbers == OPERATIONS.index(name), strengths, 0.0) for name in MOTIONS}
    motion = still(len(numbers), numbers.device)._replace(
        angles=-of["rotate"],
        moves=torch.stack([of["translate_x"], of["translate_y"]], dim=1).trunc(),
        shears=torch.stack([of["shear_x"], of["shear_y"]], dim=1).atan().rad2deg(),
    )
    is_shear = ((of["shear_x"] != 0) | (of["shear_y"] != 0)).unsqueeze(1)
    corner = torch.tensor([-width / 2, -height / 2], device=numbers.device)
    return source_matrices(motion, is_shear * corner)
