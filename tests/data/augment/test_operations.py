"""Each transform with explicit parameters against torchvision's function for one image and the same parameters."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from netwright.data.augment.affine import rotate
from netwright.data.augment.color import Jitter, adjust_color
from netwright.data.augment.crop import centre_crop, crop, pad
from netwright.data.augment.erase import erase
from netwright.data.augment.flip import COLUMNS, ROWS, flip
from netwright.data.augment.pixels import PixelRange
from netwright.data.augment.resized_crop import resized_by_products, resized_crop

UINT8 = PixelRange(0.0, 255.0)


def pictures(num: int, height: int, width: int, channels: int, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Smooth random pictures with full range and some flat, some noisy parts."""
    random = torch.Generator().manual_seed(height * width + channels)
    coarse = torch.rand(num, channels, 5, 4, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    smooth[:, :, height // 2 :] += torch.rand(num, channels, height - height // 2, width, generator=random) * 0.3
    smooth = smooth.clamp(0, 1).permute(0, 2, 3, 1).contiguous()
    return (smooth * 255).round().to(dtype) if dtype == torch.uint8 else smooth


def image(pixels: Tensor, sample: int) -> Tensor:
    return pixels[sample].permute(2, 0, 1)


def hwc(one: Tensor) -> Tensor:
    return one.permute(1, 2, 0)


def assert_levels(ours: Tensor, theirs: Tensor, most_off_by_one: float) -> None:
    """At most one level of 255 apart, and that only in the given share of all values."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    apart = (ours.int() - theirs.int()).abs()
    assert apart.max() <= 1
    assert (apart > 0).double().mean() <= most_off_by_one


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("mode", "tv_mode"), [("zero", "constant"), ("reflect", "reflect")])
def test_pad_and_crop_equal_torchvision(channels: int, dtype: torch.dtype, mode: str, tv_mode: str) -> None:
    pixels = pictures(6, 9, 12, channels, dtype)
    tops, lefts = torch.tensor([0, 1, 3, 6, 5, 2]), torch.tensor([6, 0, 3, 1, 5, 4])
    ours = crop(pad(pixels, 3, mode), tops, lefts, 9, 12)
    for i in range(6):
        theirs = tv.crop(tv.pad(image(pixels, i), [3], padding_mode=tv_mode), int(tops[i]), int(lefts[i]), 9, 12)
        assert torch.equal(ours[i], hwc(theirs))


def test_reflect_wider_than_the_image_equals_numpy() -> None:
    pixels = pictures(2, 3, 4, 1)
    expected = np.pad(pixels.numpy(), ((0, 0), (7, 7), (7, 7), (0, 0)), mode="reflect")
    assert np.array_equal(pad(pixels, 7, "reflect").numpy(), expected)


def test_zero_padding_uses_black() -> None:
    assert pad(torch.ones(1, 2, 2, 1), 1, "zero", -1.0)[0, 0, 0, 0] == -1


@pytest.mark.parametrize("store", [(32, 32), (37, 37), (36, 41)])
def test_centre_crop_equals_torchvision(store: tuple[int, int]) -> None:
    pixels = pictures(2, *store, 3)
    assert torch.equal(centre_crop(pixels, 32, 32)[1], hwc(tv.center_crop(image(pixels, 1), [32, 32])))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_flips_equal_torchvision_where_chosen(dtype: torch.dtype) -> None:
    pixels, mask = pictures(4, 7, 6, 3, dtype), torch.tensor([True, False, False, True])
    before = pixels.clone()
    for dimension, reference in ((COLUMNS, tv.horizontal_flip), (ROWS, tv.vertical_flip)):
        ours = flip(pixels, mask, dimension)
        for i in range(4):
            theirs = reference(image(pixels, i)) if mask[i] else image(pixels, i)
            assert torch.equal(ours[i], hwc(theirs))
    assert torch.equal(pixels, before)


BOXES = [(0, 0, 56, 48), (3, 5, 40, 31), (10, 0, 12, 48), (55, 47, 1, 1), (7, 9, 30, 30), (0, 17, 56, 5)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (28, 40)])
def test_resized_crop_equals_torchvision(channels: int, size: tuple[int, int]) -> None:
    for dtype in (torch.uint8, torch.float32):
        pixels = pictures(len(BOXES), 56, 48, channels, dtype)
        ours = resized_crop(pixels, torch.tensor(BOXES), size)
        for i, box in enumerate(BOXES):
            assert torch.equal(ours[i], hwc(tv.resized_crop(image(pixels, i), *box, list(size), antialias=True)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (28, 40), (70, 9)])
def test_resized_crop_by_products_equals_torchvision(channels: int, size: tuple[int, int]) -> None:
    pixels = pictures(len(BOXES), 56, 48, channels, torch.float32)
    ours = resized_by_products(pixels, torch.tensor(BOXES), size)
    levels = (pixels * 255).round().to(torch.uint8)
    our_levels = resized_by_products(levels, torch.tensor(BOXES), size)
    for i, box in enumerate(BOXES):
        theirs = hwc(tv.resized_crop(image(pixels, i), *box, list(size), antialias=True))
        torch.testing.assert_close(ours[i], theirs, rtol=0, atol=2e-6)
        theirs = hwc(tv.resized_crop(image(levels, i), *box, list(size), antialias=True))
        assert_levels(our_levels[i], theirs, 0.25)  # torch's uint8 kernel has 16-bit weights and rounds twice


ANGLES = [0.0, 12.5, -33.0, 90.0, 179.0, -180.0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(32, 32), (20, 32)])  # an odd difference gives ties at 90 degrees
def test_rotation_equals_torchvision(channels: int, shape: tuple[int, int]) -> None:
    floats = pictures(len(ANGLES), *shape, channels, torch.float32)
    levels = (floats * 255).round().to(torch.uint8)
    ours, our_levels = rotate(floats, torch.tensor(ANGLES)), rotate(levels, torch.tensor(ANGLES))
    for i, angle in enumerate(ANGLES):
        theirs = hwc(tv.rotate(image(floats, i), angle, InterpolationMode.BILINEAR))
        torch.testing.assert_close(ours[i], theirs, rtol=0, atol=5e-5)
        theirs = hwc(tv.rotate(image(levels, i), angle, InterpolationMode.BILINEAR))
        assert_levels(our_levels[i], theirs, 0.002)


def test_rotation_fills_with_black_of_a_declared_range() -> None:
    white = torch.ones(1, 9, 9, 1)
    rotated = rotate(white, torch.tensor([45.0]), black=-1.0)
    assert rotated[0, 0, 0, 0] == -1
    assert rotated[0, 4, 4, 0] == 1


def color_by_torchvision(one: Tensor, jitter: Jitter, sample: int) -> Tensor:
    """Apply torchvision's four functions in the order that `jitter` says."""
    functions = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation]
    for step, which in enumerate([*jitter.order[sample].tolist(), None]):
        if jitter.hue_shifts is not None and step == jitter.num_before_hue[sample]:
            one = tv.adjust_hue(one, float(jitter.hue_shifts[sample]))
        if which is not None:
            one = functions[which](one, float(jitter.factors[sample, which]))
    return one


def jitters(num: int, with_hue: bool) -> Jitter:
    random = torch.Generator().manual_seed(3)
    return Jitter(
        factors=0.4 + 1.2 * torch.rand(num, 3, generator=random),
        order=torch.rand(num, 3, generator=random).argsort(dim=1),
        hue_shifts=torch.rand(num, generator=random) - 0.5 if with_hue else None,
        num_before_hue=torch.arange(num) % 4,
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("with_hue", [False, True])
def test_color_equals_torchvision(channels: int, with_hue: bool) -> None:
    num = 24
    floats, jitter = pictures(num, 16, 20, channels, torch.float32), jitters(num, with_hue)
    levels = (floats * 255).round().to(torch.uint8)
    ours, our_levels = adjust_color(floats, jitter, PixelRange(0.0, 1.0)), adjust_color(levels, jitter, UINT8)
    theirs = torch.stack([hwc(color_by_torchvision(image(floats, i), jitter, i)) for i in range(num)])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    theirs = torch.stack([hwc(color_by_torchvision(image(levels, i), jitter, i)) for i in range(num)])
    apart = (our_levels.int() - theirs.int()).abs()
    assert (apart > 0).double().mean() <= 0.001  # cut instead of rounded, so that a last bit can cost a level
    assert apart.max() <= (3 if with_hue and channels == 3 else 1)  # which later saturation may magnify


def test_color_with_factors_of_one_and_no_hue_changes_nothing() -> None:
    for pixels in (pictures(4, 8, 8, 3), pictures(4, 8, 8, 1), pictures(4, 8, 8, 3, torch.float32)):
        jitter = Jitter(torch.ones(4, 3), torch.arange(3).expand(4, 3), None, torch.zeros(4, dtype=torch.int64))
        assert torch.equal(adjust_color(pixels, jitter, UINT8), pixels)


def test_gray_images_have_no_saturation_and_no_hue() -> None:
    pixels, order = pictures(4, 8, 8, 1), torch.arange(3).expand(4, 3)
    factors = torch.tensor([[1.0, 1.0, 0.3]]).expand(4, 3)
    jitter = Jitter(factors, order, torch.full((4,), 0.3), torch.arange(4))
    assert torch.equal(adjust_color(pixels, jitter, UINT8), pixels)


def test_color_of_a_declared_range_equals_that_of_unit_range() -> None:
    pixels, jitter = pictures(8, 8, 8, 3, torch.float32), jitters(8, True)
    unit = adjust_color(pixels, jitter, PixelRange(0.0, 1.0))
    shifted = adjust_color(pixels * 2 - 1, jitter, PixelRange(-1.0, 1.0))
    torch.testing.assert_close((shifted + 1) / 2, unit, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("size", [1, 4, 5, 40])
def test_cutout_equals_torchvision_erase(dtype: torch.dtype, size: int) -> None:
    pixels = pictures(5, 12, 10, 3, dtype)
    tops, lefts = torch.tensor([-2, 0, 4, 11, 3]), torch.tensor([3, -2, 5, 9, 3])
    mask = torch.tensor([True, True, True, True, False])
    sizes = torch.full((5,), size) * mask
    ours = erase(pixels, torch.stack([tops, lefts, sizes, sizes], dim=1), 0.0)
    for i in range(5):
        top, left = max(int(tops[i]), 0), max(int(lefts[i]), 0)
        bottom, right = min(int(tops[i]) + size, 12), min(int(lefts[i]) + size, 10)
        black = torch.zeros(3, 1, 1, dtype=dtype)
        height, width = max(bottom - top, 0), max(right - left, 0)
        theirs = tv.erase(image(pixels, i), top, left, height, width, black) if mask[i] else image(pixels, i)
        assert torch.equal(ours[i], hwc(theirs))


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_cutout_fills_with_black_of_a_declared_range(dtype: torch.dtype) -> None:
    result = erase(torch.full((1, 4, 4, 3), 7, dtype=dtype), torch.tensor([[1, 1, 2, 2]]), -2.0)
    assert (result[0, 1:3, 1:3] == -2).all()
    assert int((result == 7).sum()) == (16 - 4) * 3
    assert result.dtype == dtype
