"""The recipe's random transforms, one after another, on a batch of images, and what of them moves the masks alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from netwright.config.augmentations import (
    Affine,
    Augmentation,
    ColorJitter,
    Cutout,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    Mixing,
    RandAugment,
    RandomCrop,
    RandomErasing,
    RandomResizedCrop,
    RandomWindow,
    Rotation,
    TrivialAugmentWide,
    VerticalFlip,
)
from netwright.config.masks import IGNORED
from netwright.data.augment import affine, color, crop, erase, filters, flip, rand_augment, resized_crop, tone
from netwright.data.augment.pixels import PixelRange, pixel_range
from netwright.errors import RecipeError
from netwright.runtime.randomness import uniforms

Apply = Callable[[Tensor, Tensor, PixelRange], Tensor]
Draw = Callable[[int, str, int, Tensor, int], Tensor]  # (seed, purpose, epoch, rows (B,), count) -> (B, count)


@dataclass(frozen=True)
class Step:
    """One random transform: pixels (B, H, W, C) and uniforms (B, num_uniforms) -> pixels.

    `move` does to masks (B, H, W, 1) what `apply` does to images, by nearest neighbour; None: they stay as they are."""

    purpose: str  # what its random numbers are for: its name and place, so that two flips draw apart
    num_uniforms: int
    apply: Apply
    draw: Draw = uniforms
    move: Apply | None = None


@dataclass(frozen=True)
class Augment:
    """Random transforms whose result for a sample depends on (seed, epoch, row) and on nothing else in the batch.

    A random resized crop, `box`, comes first: it cuts from the whole stored picture, the others get its centre."""

    steps: tuple[Step, ...]
    seed: int
    image_size: tuple[int, int]
    value_range: tuple[float, float] | None
    box: RandomResizedCrop | None = None
    window: int | None = None  # pixels a side of what a random window leaves

    def __call__(self, pixels: Tensor, epoch: int, rows: Tensor) -> Tensor:
        """Transform stored pixels (B, H, W, C) of rows (B,) int64: (B, *output_size, C), dtype, device and scale kept.

        The given pixels are not changed. H and W are at least those of `image_size`, if there is no `box`.
        """
        if self.box is None:
            pixels = self._centre(pixels)
        else:
            pixels = resized_crop.resized_crop(pixels, self._boxes_in(pixels, epoch, rows), self.image_size)
        return self.after_crop(pixels, epoch, rows)

    def on_masks(self, masks: Tensor, epoch: int, rows: Tensor) -> Tensor:
        """Move stored masks (B, H, W) uint8 of rows (B,) as their images are moved: (B, *output_size).

        What comes from outside of the image is IGNORED."""
        pixels = masks.unsqueeze(3)
        if self.box is None:
            pixels = self._centre(pixels)
        else:
            pixels = resized_crop.resized_mask(pixels, self._boxes_in(pixels, epoch, rows), self.image_size)
        rows = rows.to(pixels.device, non_blocking=True)
        outside = PixelRange(float(IGNORED), None)
        for step in self.steps:
            if step.move is not None:
                numbers = step.draw(self.seed, step.purpose, epoch, rows, step.num_uniforms)
                pixels = step.move(pixels, numbers, outside)
        return pixels.squeeze(3)

    @property
    def output_size(self) -> tuple[int, int]:
        """The (height, width) in pixels of what training sees: a window's, or `image_size`."""
        return self.image_size if self.window is None else (self.window, self.window)

    def _centre(self, pixels: Tensor) -> Tensor:
        height, width = self.image_size
        assert min(pixels.shape[1] - height, pixels.shape[2] - width) >= 0, "the store is smaller than the input"
        return crop.centre_crop(pixels, height, width)

    def _boxes_in(self, pixels: Tensor, epoch: int, rows: Tensor) -> Tensor:
        """Draw the boxes (B, 4) of rows (B,) in pixels (B, H, W, C)."""
        sizes = torch.tensor(pixels.shape[1:3], device=pixels.device).expand(len(pixels), 2)
        return self.boxes(sizes, epoch, rows)

    def boxes(self, sizes: Tensor, epoch: int, rows: Tensor) -> Tensor:
        """Draw the boxes (B, 4) of rows (B,) in pictures of sizes (B, 2) int64: top, left, height, width."""
        assert self.box is not None
        purpose = f"{self.box.name}/0"
        numbers = uniforms(self.seed, purpose, epoch, rows.to(sizes.device), resized_crop.NUM_UNIFORMS)
        return resized_crop.draw_boxes(numbers, sizes, self.box.scale, self.box.ratio)

    def after_crop(self, pixels: Tensor, epoch: int, rows: Tensor) -> Tensor:
        """Do all that comes after the crop: pixels (B, *image_size, C) -> (B, *output_size, C)."""
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
    Raises RecipeError for a class that has no transform here, and a window that is larger than the images.
    """
    parts = [part for part in augmentations if not isinstance(part, Mixing)]
    if not parts:
        return None
    box = parts[0] if isinstance(parts[0], RandomResizedCrop) else None
    steps = tuple(_build_step(part, place) for place, part in enumerate(parts) if part is not box)
    return Augment(steps, seed, image_size, value_range, box, _window(parts, image_size))


def _window(parts: Sequence[Augmentation], image_size: tuple[int, int]) -> int | None:
    """Return the size of the smallest random window; None without any. Raises RecipeError when one is too large."""
    left = min(image_size)
    sizes = [part.size for part in parts if isinstance(part, RandomWindow)]
    for size in sizes:
        if size > left:
            raise RecipeError(
                f"`augmentation` has a random_window of {size} pixels, and it is cut from {left}; take a smaller `size`"
            )
        left = size
    return left if sizes else None


def _build_step(part: Augmentation, position: int) -> Step:
    purpose = f"{part.name}/{position}"
    moves = _geometric(part, "nearest")
    made = _geometric(part, "bilinear") or _of_values(part)
    if made is None:
        raise RecipeError(
            f"augmentation {part.name!r} has no transform; expected a name that `netwright transforms` lists"
        )
    num_uniforms, apply = made
    alternating = isinstance(part, HorizontalFlip) and part.alternating
    draw = flip.alternating_uniforms if alternating else uniforms
    return Step(purpose, num_uniforms, apply, draw, moves[1] if moves is not None else None)


# functools.partial and not closures: loader workers pickle them
def _geometric(part: Augmentation, how: affine.Interpolation) -> tuple[int, Apply] | None:
    """Return what moves pixels and leaves their values: bilinear for an image, nearest for a mask of it."""
    match part:
        case RandomCrop():
            return crop.NUM_UNIFORMS, partial(crop.random_crop, settings=part)
        case RandomWindow():
            return crop.NUM_UNIFORMS, partial(crop.random_window, settings=part)
        case HorizontalFlip() | VerticalFlip():
            return flip.NUM_UNIFORMS, partial(flip.random_flip, settings=part)
        case Rotation():
            return 1, partial(affine.random_rotation, settings=part, how=how)
        case Affine():
            return affine.NUM_UNIFORMS, partial(affine.random_affine, settings=part, how=how)
    return None


def _of_values(part: Augmentation) -> tuple[int, Apply] | None:
    """Return what changes values where they are; RandAugment's operations do both, see `rand_augment.MOTIONS`."""
    match part:
        case ColorJitter():
            return color.NUM_UNIFORMS, partial(color.random_color_jitter, settings=part)
        case Grayscale():
            return tone.NUM_UNIFORMS, partial(tone.random_grayscale, settings=part)
        case GaussianBlur():
            return filters.NUM_UNIFORMS, partial(filters.random_blur, settings=part)
        case Cutout():
            return erase.NUM_CUTOUT_UNIFORMS, partial(erase.random_cutout, settings=part)
        case RandomErasing():
            return erase.NUM_ERASING_UNIFORMS, partial(erase.random_erasing, settings=part)
        case RandAugment():
            return 2 * part.num_ops, partial(rand_augment.random_operations, settings=part)
        case TrivialAugmentWide():
            return 3, rand_augment.random_trivial
    return None
