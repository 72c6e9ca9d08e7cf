"""The whole augmentation: own parameters for each sample, whatever the batch; dtype, shape and store size."""

import pickle

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from netwright.config.augmentations import (
    AUGMENTATIONS,
    Affine,
    Augmentation,
    ColorJitter,
    Cutout,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    Mixing,
    MixUp,
    RandAugment,
    RandomCrop,
    RandomErasing,
    RandomResizedCrop,
    RandomWindow,
    Rotation,
    TrivialAugmentWide,
    VerticalFlip,
)
from netwright.data.augment import Augment, build_augmentation
from netwright.errors import RecipeError

EACH = [
    RandomCrop(),
    RandomCrop(padding=3, mode="reflect"),
    RandomResizedCrop(),
    HorizontalFlip(),
    VerticalFlip(),
    Rotation(degrees=180.0),
    ColorJitter(hue=0.3),
    Cutout(),
    Affine(shear=10.0),
    Grayscale(p=0.5),
    GaussianBlur(),
    RandomErasing(p=1.0),
    RandAugment(),
    TrivialAugmentWide(),
]
ALL = (RandomResizedCrop(), RandomCrop(), *EACH[3:])


def built(*parts: Augmentation, seed: int = 0, image_size: tuple[int, int] = (16, 16)) -> Augment:
    augment = build_augmentation(parts, seed, image_size)
    assert augment is not None
    return augment


def noise(num: int, height: int, width: int, channels: int = 3) -> Tensor:
    return torch.randint(0, 256, (num, height, width, channels), generator=torch.Generator().manual_seed(1)).byte()


def test_no_augmentations_build_none() -> None:
    assert build_augmentation((), 0, (16, 16)) is None
    assert build_augmentation((MixUp(),), 0, (16, 16)) is None  # mixes finished batches, see test_mixing


def test_every_declared_augmentation_is_built() -> None:
    for part in AUGMENTATIONS.parts.values():
        made = part()
        assert isinstance(made, Augmentation)
        if isinstance(made, (Mixing, RandomWindow)):
            continue
        assert built(made)(noise(2, 16, 16), 0, torch.arange(2)).shape == (2, 16, 16, 3)


def test_unknown_augmentation_is_refused() -> None:
    with pytest.raises(RecipeError, match="solarize"):
        build_augmentation((Augmentation(name="solarize"),), 0, (16, 16))


@pytest.mark.parametrize("parts", [*[(part,) for part in EACH], ALL], ids=lambda parts: "+".join(p.name for p in parts))
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_row_gets_the_same_result_in_every_batch(parts: tuple[Augmentation, ...], dtype: torch.dtype) -> None:
    pixels, augment = noise(40, 18, 20).to(dtype), built(*parts)
    rows = torch.arange(40) * 17 + 5
    whole = augment(pixels, 3, rows)
    some = torch.tensor([31, 2, 17, 39, 5])
    assert torch.equal(augment(pixels[some], 3, rows[some]), whole[some])
    assert torch.equal(augment(pixels[7:8], 3, rows[7:8]), whole[7:8])
    assert torch.equal(augment(pixels, 3, rows), whole)


@pytest.mark.parametrize("part", EACH, ids=lambda part: part.name)
def test_samples_epochs_and_seeds_differ(part: Augmentation) -> None:
    """The same picture 256 times: a transform with one draw a batch would give one result."""
    pixels, rows = noise(1, 16, 16).expand(256, -1, -1, -1), torch.arange(256)
    results = built(part)(pixels, 0, rows)
    num_distinct = len(results.flatten(1).unique(dim=0))
    expected = {"horizontal_flip": 2, "vertical_flip": 2, "random_crop": 36, "cutout": 100, "grayscale": 2}
    expected |= {"gaussian_blur": 100, "rand_augment": 80, "trivial_augment_wide": 100}
    assert num_distinct >= expected.get(part.name, 200)
    assert not torch.equal(results, built(part)(pixels, 1, rows))
    assert not torch.equal(results, built(part, seed=1)(pixels, 0, rows))


def test_two_steps_of_one_kind_draw_apart() -> None:
    pixels, rows = noise(1, 16, 16).expand(512, -1, -1, -1), torch.arange(512)
    twice = built(HorizontalFlip(), HorizontalFlip())(pixels, 0, rows)
    share_flipped = float((twice != pixels).flatten(1).any(dim=1).double().mean())
    assert 0.4 < share_flipped < 0.6


@pytest.mark.parametrize("parts", [*[(part,) for part in EACH], ALL], ids=lambda parts: "+".join(p.name for p in parts))
@pytest.mark.parametrize(("channels", "dtype"), [(1, torch.uint8), (3, torch.int32), (3, torch.float32)])
@pytest.mark.parametrize("store", [(16, 24), (19, 30)])
def test_shape_and_dtype_are_kept(
    parts: tuple[Augmentation, ...], channels: int, dtype: torch.dtype, store: tuple[int, int]
) -> None:
    pixels = noise(5, *store, channels).to(dtype)
    before = pixels.clone()
    augment = build_augmentation(parts, 0, (16, 24), value_range=(0, 255))
    assert augment is not None
    result = augment(pixels, 0, torch.arange(5))
    assert result.shape == (5, 16, 24, channels)
    assert result.dtype == dtype
    assert result.min() >= 0
    assert result.max() <= 255
    assert torch.equal(pixels, before)


OTHER = ("cutout", "rotation", "affine", "random_erasing", "rand_augment", "trivial_augment_wide")  # black or a tone
OTHER = (*OTHER, "grayscale")  # torchvision's weights of red, green and blue add up to 0.9999


@pytest.mark.parametrize("part", [part for part in EACH if part.name not in OTHER])
def test_one_gray_value_stays_what_it_is(part: Augmentation) -> None:
    """Floats keep their scale: nothing is divided by 255, and without a declared range nothing is cut off."""
    pixels = torch.full((4, 16, 16, 3), 700.0)
    settings = ColorJitter(brightness=0.0, hue=0.2) if part.name == "color_jitter" else part
    result = built(settings)(pixels, 0, torch.arange(4))
    assert torch.isclose(result, torch.tensor(700.0), rtol=1e-4).logical_or(result == 0).all()
    assert result[:, 8, 8].min() > 699


def test_larger_stores_are_cropped_at_the_centre_first() -> None:
    pixels, rows = noise(3, 19, 22), torch.arange(3)
    middle = tv.center_crop(pixels.permute(0, 3, 1, 2), [16, 16]).permute(0, 2, 3, 1)
    for part in (HorizontalFlip(), RandomCrop(), Rotation()):
        assert torch.equal(built(part)(pixels, 0, rows), built(part)(middle, 0, rows))


def test_random_resized_crop_sees_the_whole_store() -> None:
    pixels = torch.zeros(64, 32, 32, 1, dtype=torch.uint8)
    pixels[:, :4] = 255  # outside of the middle 16 x 16
    result = built(RandomResizedCrop(), HorizontalFlip())(pixels, 0, torch.arange(64))
    assert result.shape == (64, 16, 16, 1)
    assert result.max() > 200


def test_augmentation_can_be_pickled() -> None:
    augment, pixels, rows = built(*ALL), noise(3, 16, 16), torch.arange(3)
    assert torch.equal(pickle.loads(pickle.dumps(augment))(pixels, 2, rows), augment(pixels, 2, rows))
