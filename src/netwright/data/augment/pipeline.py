"""The recipe's random transforms, one after another, on a batch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from netwright.config.augmentations import (
    Augmentation,
    ColorJitter,
    Cutout,
    HorizontalFlip,
    RandomCrop,
    RandomResizedCrop,
    Rotation,
    VerticalFlip,
)
from netwright.data.augment import color, crop, cutout, flip, resized_crop, rotation
from netwright.data.augment.pixels import PixelRange, pixel_range
from netwright.errors import RecipeError
from netwright.runtime.randomness import uniforms

Apply = Callable[[Tensor, Tensor, PixelRange], Tensor]
Draw = Callable[[int, str, int, Tensor, int], Tensor]  # (seed, purpose, epoch, rows (B,), count) -> (B, count)


@dataclass(frozen=True)
class Step:
    """One random transform: pixels (B, H, W, C) and uniforms (B, num_uniforms) -> pixels."""

    purpose: str  # what its random numbers are for: its name and place, so that two flips draw apart
    num_uniforms: int
    apply: Apply
    draw: Draw = uniforms


@dataclass(frozen=True)
class Augment:
    """Random transforms whose result for a sample depends on (seed, epoch, row) and on nothing else in the batch.

    A random resized crop, `box`, comes first: it cuts from the whole stored picture, the others get its centre."""

    steps: tuple[Step, ...]
    seed: int
    image_size: tuple[int, int]
    value_range: tuple[float, float] | None
    box: RandomResizedCrop | None = None

    def __call__(self, pixels: Tensor, epoch: int, rows: Tensor) -> Tensor:
        """Transform stored pixels (B, H, W, C) of rows (B,) int64: (B, *image_size, C), dtype, device and scale kept.

        The given pixels are not changed. H and W are at least those of `image_size`, if there is no `box`.
        """
        height, width = self.image_size
        if self.box is None:
            assert min(pixels.shape[1] - height, pixels.shape[2] - width) >= 0, "the store is smaller than the input"
            pixels = crop.centre_crop(pixels, height, width)
        else:
            sizes = torch.tensor(pixels.shape[1:3], device=pixels.device).expand(len(pixels), 2)
            pixels = resized_crop.resized_crop(pixels, self.boxes(sizes, epoch, rows), self.image_size)
        return self.after_crop(pixels, epoch, rows)

    def boxes(self, sizes: Tensor, epoch: int, rows: Tensor) -> Tensor:
        """Draw the boxes (B, 4) of rows (B,) in pictures of sizes (B, 2) int64: top, left, height, width."""
        assert self.box is not None
        purpose = f"{self.box.name}/0"
        numbers = uniforms(self.seed, purpose, epoch, rows.to(sizes.device), resized_crop.NUM_UNIFORMS)
        return resized_crop.draw_boxes(numbers, sizes, self.box.scale, self.box.ratio)

    def after_crop(self, pixels: Tensor, epoch: int, rows: Tensor) -> Tensor:
        """Do all that comes after the crop: pixels (B, *image_size, C) -> the same."""
        limits = pixel_range(pixels.dtype, self.value_range)
        rows = rows.to(pixels.device, non_blocking=True)
        for step in self.steps:
            numbers = step.draw(self.seed, step.purpose, epoch, rows, step.num_uniforms)
            pixels = step.apply(pixels, numbers, limits)
        return pixels


def build_augmentation(
    augmentations: tuple[Augmentation, ...],
    seed: int,
    image_size: tuple[int, int],
    value_range: tuple[float, float] | None = None,
) -> Augment | None:
    """Build the recipe's random transforms in its order; None where it has none.

    `value_range` says which values are black and white in pixels that are not uint8; without it black is 0 and no
    transform cuts off high values. A random resized crop is the first one or absent (`config.recipe` sees to it).
    Raises RecipeError for a class that has no transform here.
    """
    if not augmentations:
        return None
    box = augmentations[0] if isinstance(augmentations[0], RandomResizedCrop) else None
    steps = tuple(_build_step(part, place) for place, part in enumerate(augmentations) if part is not box)
    return Augment(steps, seed, image_size, value_range, box)


def _build_step(part: Augmentation, position: int) -> Step:
    purpose = f"{part.name}/{position}"
    match part:  # functools.partial and not a closure: loader workers pickle it
        case RandomCrop():
            return Step(purpose, crop.NUM_UNIFORMS, partial(crop.random_crop, settings=part))
        case HorizontalFlip() | VerticalFlip():
            draw = flip.alternating_uniforms if isinstance(part, HorizontalFlip) and part.alternating else uniforms
            return Step(purpose, flip.NUM_UNIFORMS, partial(flip.random_flip, settings=part), draw)
        case Rotation():
            return Step(purpose, rotation.NUM_UNIFORMS, partial(rotation.random_rotation, settings=part))
        case ColorJitter():
            return Step(purpose, color.NUM_UNIFORMS, partial(color.random_color_jitter, settings=part))
        case Cutout():
            return Step(purpose, cutout.NUM_UNIFORMS, partial(cutout.random_cutout, settings=part))
    raise RecipeError(f"augmentation {part.name!r} has no transform; expected a name that `netwright transforms` lists")
