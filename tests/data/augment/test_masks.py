"""Masks move as their images do: against torchvision's functional on both, with the same parameters."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from netwright.config.augmentations import (
    Affine,
    Augmentation,
    ColorJitter,
    Cutout,
    GaussianBlur,
    HorizontalFlip,
    RandomCrop,
    RandomErasing,
    RandomResizedCrop,
    RandomWindow,
    Rotation,
    VerticalFlip,
)
from netwright.config.masks import IGNORED
from netwright.data.augment import Augment, build_augmentation
from netwright.data.augment.affine import draw_motion
from netwright.data.augment.flip import draw_mask
from netwright.data.augment.pixels import below, between
from netwright.errors import RecipeError
from netwright.runtime.randomness import uniforms

ROWS = torch.arange(12) * 7
SIZE = (40, 56)
NEAREST = InterpolationMode.NEAREST


def built(*parts: Augmentation, size: tuple[int, int] = SIZE) -> Augment:
    augment = build_augmentation(parts, 3, size)
    assert augment is not None
    return augment


def some_masks(height: int = 40, width: int = 56) -> Tensor:
    """Blocks of classes 0 to 4, so that neighbours are mostly alike, as in real masks."""
    coarse = torch.randint(0, 5, (12, 1, height // 4, width // 4), generator=torch.Generator().manual_seed(2))
    return coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, 0].to(torch.uint8)


def drawn(part: Augmentation, count: int, epoch: int = 2) -> Tensor:
    """Return the numbers that the first part of the list draws for ROWS."""
    return uniforms(3, f"{part.name}/0", epoch, ROWS, count)


def expected(part: Augmentation, masks: Tensor) -> Tensor:
    """Do with torchvision, mask by mask, what a part does with the parameters that it draws."""
    planes = masks.unsqueeze(1)
    match part:
        case HorizontalFlip():
            chosen = draw_mask(drawn(part, 1), part.p)
            return torch.stack([F.hflip(m) if c else m for m, c in zip(planes, chosen, strict=True)])[:, 0]
        case VerticalFlip():
            chosen = draw_mask(drawn(part, 1), part.p)
            return torch.stack([F.vflip(m) if c else m for m, c in zip(planes, chosen, strict=True)])[:, 0]
        case RandomCrop():
            places = below(drawn(part, 2), 2 * part.padding + 1).tolist()
            padded = F.pad(planes, [part.padding], fill=IGNORED)
            return torch.stack([F.crop(m, *at, *SIZE) for m, at in zip(padded, places, strict=True)])[:, 0]
        case RandomWindow():
            numbers = drawn(part, 2)
            tops, lefts = (below(numbers[:, axis], SIZE[axis] - part.size + 1).tolist() for axis in (0, 1))
            cut = [F.crop(m, top, left, part.size, part.size) for m, top, left in zip(planes, tops, lefts, strict=True)]
            return torch.stack(cut)[:, 0]
        case Rotation():
            angles = between(drawn(part, 1)[:, 0], -part.degrees, part.degrees).tolist()
            turned = [F.rotate(m, a, NEAREST, fill=IGNORED) for m, a in zip(planes, angles, strict=True)]
            return torch.stack(turned)[:, 0]
        case Affine():
            motion = draw_motion(drawn(part, 5), part, SIZE)
            moved = [
                F.affine(
                    mask,
                    float(motion.angles[place]),
                    [int(by) for by in motion.moves[place]],
                    float(motion.scales[place]),
                    motion.shears[place].tolist(),
                    NEAREST,
                    fill=IGNORED,
                )
                for place, mask in enumerate(planes)
            ]
            return torch.stack(moved)[:, 0]
        case RandomResizedCrop():
            boxes = built(part).boxes(torch.tensor([SIZE] * 12), 2, ROWS).tolist()
            cut = [F.resized_crop(m, *box, SIZE, NEAREST) for m, box in zip(planes, boxes, strict=True)]
            return torch.stack(cut)[:, 0]
    raise AssertionError(part)


@pytest.mark.parametrize(
    "part",
    [
        HorizontalFlip(),
        VerticalFlip(p=0.3),
        RandomCrop(padding=6),
        RandomWindow(size=24),
        Rotation(degrees=180),
        Affine(degrees=40, scale=(0.7, 1.4), shear=20),
        RandomResizedCrop(),
        RandomResizedCrop(scale=(0.5, 1.0)),
    ],
    ids=repr,
)
def test_a_mask_is_moved_as_torchvision_moves_it(part: Augmentation) -> None:
    masks = some_masks()
    moved = built(part).on_masks(masks, 2, ROWS)
    wanted = expected(part, masks)
    assert moved.shape == wanted.shape
    assert moved.dtype == torch.uint8
    # places halfway between two pixels may fall to either, by the last bit of the arithmetic
    assert (moved != wanted).float().mean() < (0.002 if isinstance(part, (Rotation, Affine)) else 1e-9)


@pytest.mark.parametrize(
    "parts",
    [
        (HorizontalFlip(), RandomCrop(padding=5), VerticalFlip(), RandomWindow(size=17)),
        (RandomWindow(size=32), HorizontalFlip(alternating=True)),
        (RandomCrop(padding=9, mode="reflect"), Cutout(p=0.0), HorizontalFlip()),
    ],
    ids=repr,
)
@pytest.mark.parametrize("epoch", [1, 2])
def test_image_and_mask_stay_together_to_the_pixel(parts: tuple[Augmentation, ...], epoch: int) -> None:
    masks = some_masks()
    images = (masks + 1).unsqueeze(
        3
    )  # an image that shows its mask: class + 1, so that black is what came from outside
    augment = built(*parts)
    seen, moved = augment(images, epoch, ROWS)[..., 0], augment.on_masks(masks, epoch, ROWS)
    assert torch.equal(seen == 0, moved == IGNORED)
    assert torch.equal(torch.where(seen == 0, IGNORED, seen - 1), moved.long())


@pytest.mark.parametrize("part", [Rotation(degrees=60), Affine(degrees=50), RandomResizedCrop(scale=(0.3, 1.0))])
def test_image_and_mask_stay_together_where_the_image_is_interpolated(part: Augmentation) -> None:
    """Away from borders between classes an interpolated image has the class's own value."""
    masks = some_masks()
    augment = built(part)
    seen = augment((masks * 40 + 40).unsqueeze(3), 1, ROWS)[..., 0].long()
    moved = augment.on_masks(masks, 1, ROWS).long()
    shown = torch.where(moved == IGNORED, 0, moved * 40 + 40)
    assert ((seen - shown).abs() < 20).float().mean() > 0.8  # half-way to the neighbouring class
    other = augment.on_masks(masks, 2, ROWS).long()  # another epoch's parameters do not fit
    assert ((seen - torch.where(other == IGNORED, 0, other * 40 + 40)).abs() < 20).float().mean() < 0.6


def test_what_changes_values_leaves_masks_alone() -> None:
    masks = some_masks()
    for part in (ColorJitter(), GaussianBlur(), Cutout(), RandomErasing(p=1.0)):
        assert torch.equal(built(part).on_masks(masks, 1, ROWS), masks)


def test_the_order_of_a_list_is_the_same_for_both() -> None:
    flip, window = HorizontalFlip(p=1.0), RandomWindow(size=16)
    masks = some_masks()
    first = built(flip, window).on_masks(masks, 1, ROWS)
    second = built(window, flip).on_masks(masks, 1, ROWS)
    assert not torch.equal(first, second)


def test_a_sample_is_moved_alike_whatever_is_in_its_batch() -> None:
    augment = built(RandomWindow(size=20), Rotation(), HorizontalFlip())
    masks = some_masks()
    whole = augment.on_masks(masks, 4, ROWS)
    assert torch.equal(augment.on_masks(masks[5:7], 4, ROWS[5:7]), whole[5:7])


def test_a_window_larger_than_the_image_is_refused() -> None:
    with pytest.raises(RecipeError, match="random_window of 41 pixels"):
        built(RandomWindow(size=41))
    with pytest.raises(RecipeError, match="cut from 16"):
        built(RandomWindow(size=16), RandomWindow(size=17))
    assert built(RandomWindow(size=30), RandomWindow(size=20)).output_size == (20, 20)
