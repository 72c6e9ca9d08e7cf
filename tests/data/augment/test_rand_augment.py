"""Affine motions, blur, tones, erasing and RandAugment's operations against torchvision, one image at a time."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as tv

from netwright.data.augment import rand_augment
from netwright.data.augment.affine import Motion, source_matrices, warp
from netwright.data.augment.erase import TRIES, draw_boxes, erase, noise_for
from netwright.data.augment.filters import gaussian_blur, sharpen
from netwright.data.augment.pixels import PixelRange
from netwright.data.augment.rand_augment import (
    MOTIONS,
    OPERATIONS,
    SIGNED,
    apply_operations,
    rand_augment_strengths,
    trivial_strengths,
)
from netwright.data.augment.tone import grayscale
from netwright.runtime.randomness import uniforms

UINT8, UNIT = PixelRange(0.0, 255.0), PixelRange(0.0, 1.0)
NAMES = {name.replace("_", "").lower(): name for name in OPERATIONS}
NUM = 6


def photos(num: int, height: int, width: int, channels: int = 3) -> Tensor:
    """Smooth random pictures (num, height, width, channels) float32 in [0, 1], with some noise in the lower half."""
    random = torch.Generator().manual_seed(height * width + channels)
    coarse = torch.rand(num, channels, 5, 4, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    smooth[:, :, height // 2 :] += 0.3 * torch.rand(num, channels, height - height // 2, width, generator=random)
    return smooth.clamp(0, 1).permute(0, 2, 3, 1).contiguous()


def levels(floats: Tensor) -> Tensor:
    return (floats * 255).round().to(torch.uint8)


def share_apart(ours: Tensor, theirs: Tensor, most: int) -> float:
    """Return the share of values that differ, none by more than `most` levels."""
    assert ours.dtype == theirs.dtype == torch.uint8
    apart = (ours.int() - theirs.int()).abs()
    assert apart.max() <= most
    return float((apart > 0).double().mean())


def chw(pixels: Tensor, sample: int) -> Tensor:
    return pixels[sample].permute(2, 0, 1)


def stacked(images: list[Tensor]) -> Tensor:
    return torch.stack(images).permute(0, 2, 3, 1)


@pytest.mark.parametrize("how", ["bilinear", "nearest"])
@pytest.mark.parametrize("shape", [(24, 31, 3), (20, 20, 1)])
def test_affine_equals_torchvision(how: str, shape: tuple[int, int, int]) -> None:
    floats, random = photos(NUM, *shape), torch.Generator().manual_seed(4)
    spread = 2 * torch.rand(NUM, 6, generator=random) - 1
    motion = Motion(180 * spread[:, 0], (8 * spread[:, 1:3]).round(), 1 + 0.4 * spread[:, 3], 40 * spread[:, 4:6])
    mode = InterpolationMode(how)
    theirs = [
        tv.affine(
            chw(floats, i),
            float(motion.angles[i]),
            motion.moves[i].tolist(),
            float(motion.scales[i]),
            motion.shears[i].tolist(),
            mode,
        )
        for i in range(NUM)
    ]
    ours = warp(floats, source_matrices(motion), how)
    differs = ((ours - stacked(theirs)).abs() > 1e-4).double().mean()
    # bilinear: bits of the coordinates; nearest: places halfway between two pixels, which they decide
    assert differs <= (0.0 if how == "bilinear" else 0.001)


def test_affine_fills_with_black_of_a_declared_range() -> None:
    motion = Motion(torch.zeros(1), torch.tensor([[4.0, 0.0]]), torch.ones(1), torch.zeros(1, 2))
    for how in ("bilinear", "nearest"):
        moved = warp(torch.ones(1, 8, 8, 1), source_matrices(motion), how, black=-1.0)
        assert (moved[0, :, :4] == -1).all()
        assert (moved[0, :, 4:] == 1).all()


@pytest.mark.parametrize("kernel_size", [3, 9, 23])
@pytest.mark.parametrize("channels", [1, 3])
def test_blur_equals_torchvision(kernel_size: int, channels: int) -> None:
    floats, sigmas = photos(4, 26, 30, channels), torch.tensor([0.1, 0.7, 1.5, 4.0])
    theirs = [tv.gaussian_blur(chw(floats, i), [kernel_size] * 2, [float(sigmas[i])] * 2) for i in range(4)]
    torch.testing.assert_close(gaussian_blur(floats, sigmas, kernel_size), stacked(theirs), rtol=0, atol=2e-6)
    bytes_ = levels(floats)
    theirs = [tv.gaussian_blur(chw(bytes_, i), [kernel_size] * 2, [float(sigmas[i])] * 2) for i in range(4)]
    assert share_apart(gaussian_blur(bytes_, sigmas, kernel_size), stacked(theirs), 1) < 0.001


def test_grayscale_equals_torchvision() -> None:
    bytes_ = levels(photos(NUM, 12, 17))
    theirs = [tv.rgb_to_grayscale(chw(bytes_, i), num_output_channels=3) for i in range(NUM)]
    assert share_apart(grayscale(bytes_, UINT8), stacked(theirs), 1) < 0.001
    gray = bytes_[..., :1]
    assert torch.equal(grayscale(gray, UINT8), gray)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_equals_torchvision_at_every_magnitude(name: str, channels: int, wide: bool) -> None:
    """Magnitudes and images as torchvision's own tables and dispatch give them; both signs where there are two."""
    theirs = v2.TrivialAugmentWide() if wide else v2.RandAugment()
    known = next(key for key in theirs._AUGMENTATION_SPACE if NAMES.get(key.lower()) == name)
    height, width = 33, 40
    made, signed = theirs._AUGMENTATION_SPACE[known]
    magnitudes = made(31, height, width)
    table = trivial_strengths() if wide else rand_augment_strengths(height, width)
    ours = table[OPERATIONS.index(name)]
    expected = torch.zeros(31) if magnitudes is None else magnitudes.float()
    torch.testing.assert_close(ours, expected, rtol=0, atol=0)
    assert (name in SIGNED) == signed
    strengths = torch.cat([ours, -ours]) if signed else ours
    floats = photos(len(strengths), height, width, channels)
    numbers = torch.full((len(strengths),), OPERATIONS.index(name))
    for pixels, limits in ((levels(floats), UINT8), (floats, UNIT)):
        reference = [
            theirs._apply_image_or_video_transform(
                chw(pixels, i), known, float(strength), InterpolationMode.NEAREST, {Tensor: None}
            )
            for i, strength in enumerate(strengths)
        ]
        result, reference = apply_operations(pixels, numbers, strengths, limits), stacked(reference)
        if name in MOTIONS:  # a place halfway between two pixels may be either's
            assert ((result != reference).double().mean()) <= 0.002
        elif pixels.dtype == torch.uint8:
            assert share_apart(result, reference, 1) <= 0.005  # cut instead of rounded: a last bit costs a level
        else:
            close = (result - reference).abs() <= 2e-5
            assert close.double().mean() >= (0.999 if name in ("posterize", "equalize", "solarize") else 1.0)


def test_samples_of_a_batch_get_their_own_operations() -> None:
    """All operations in one batch, shuffled, give what each alone gives."""
    num = 5 * len(OPERATIONS)
    pixels = levels(photos(num, 21, 18))
    numbers = torch.arange(num)[torch.randperm(num, generator=torch.Generator().manual_seed(1))] % len(OPERATIONS)
    strengths = trivial_strengths()[numbers, torch.arange(num) % 31]
    whole = apply_operations(pixels, numbers, strengths, UINT8)
    for i in range(num):
        alone = apply_operations(pixels[i : i + 1], numbers[i : i + 1], strengths[i : i + 1], UINT8)
        assert torch.equal(whole[i : i + 1], alone), OPERATIONS[int(numbers[i])]


def test_operations_are_drawn_equally_often_with_both_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def note(pixels: Tensor, numbers: Tensor, strengths: Tensor, limits: PixelRange) -> Tensor:
        seen.append((numbers, strengths))
        return pixels

    monkeypatch.setattr(rand_augment, "apply_operations", note)
    num = 14_000
    rand_augment.random_trivial(torch.zeros(num, 2, 2, 1).byte(), uniforms(0, "draws", 0, torch.arange(num), 3), UINT8)
    numbers, strengths = seen[0]
    counts = numbers.bincount(minlength=14).double()
    assert float(((counts - 1000) ** 2 / 1000).sum() / 13) < 2.5
    rotations = strengths[numbers == OPERATIONS.index("rotate")]
    assert 0.4 < float((rotations < 0).double().mean()) < 0.6
    assert len(rotations.unique()) == 61  # 31 magnitudes with both signs, of which 0 has one


def test_sharpening_small_images_changes_nothing() -> None:
    pixels = levels(photos(2, 2, 9))
    assert torch.equal(sharpen(pixels, torch.tensor([0.0, 2.0]), UINT8), pixels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_erasing_equals_torchvision(dtype: torch.dtype) -> None:
    pixels = levels(photos(3, 14, 12)) if dtype == torch.uint8 else photos(3, 14, 12)
    boxes = torch.tensor([[2, 3, 5, 6], [0, 0, 13, 1], [4, 4, 0, 0]])
    noise = noise_for(pixels, torch.rand(3, 2), 0.0, 255.0 if dtype == torch.uint8 else 1.0)
    for value in (noise, 100.0 if dtype == torch.uint8 else 0.5):
        ours = erase(pixels, boxes, value)
        for i, (top, left, height, width) in enumerate(boxes.tolist()):
            patch = chw(noise, i)[:, top : top + height, left : left + width]
            patch = patch if isinstance(value, Tensor) else torch.full((3, 1, 1), value).to(dtype)
            theirs = tv.erase(chw(pixels, i), top, left, height, width, patch)
            assert torch.equal(ours[i], theirs.permute(1, 2, 0))


def test_noise_is_uniform_and_each_samples_own() -> None:
    pixels = torch.zeros(40, 32, 32, 3, dtype=torch.uint8)
    noise = noise_for(pixels, uniforms(0, "noise", 0, torch.arange(40), 2), 0.0, 255.0)
    assert len(noise.flatten(1).unique(dim=0)) == 40
    assert abs(float(noise[0].double().mean()) - 127.5) < 5
    assert (noise[0].min(), noise[0].max()) == (0, 255)


@pytest.mark.parametrize("ratio", [(0.3, 3.3), (5.0, 8.0)])
def test_erased_boxes_equal_torchvisions_algorithm(ratio: tuple[float, float]) -> None:
    """The boxes of RandomErasing.make_params, with the random numbers given."""
    height, width, scale = 32, 20, (0.02, 0.6)
    rows = uniforms(0, "boxes", 0, torch.arange(2000), 2 * TRIES + 2)
    expected = []
    for row in rows.tolist():
        box = [0, 0]
        for i in range(TRIES):
            area = height * width * (scale[0] + (scale[1] - scale[0]) * row[i])
            logs = math.log(ratio[0]), math.log(ratio[1])
            aspect = math.exp(logs[0] + (logs[1] - logs[0]) * row[TRIES + i])
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                box = [h, w]
                break
        places = [int(row[2 * TRIES] * (height - box[0] + 1)), int(row[2 * TRIES + 1] * (width - box[1] + 1))]
        expected.append([*places, *box])
    boxes = draw_boxes(rows, height, width, scale, ratio)
    assert int((boxes != torch.tensor(expected)).any(dim=1).sum()) <= 3  # float32 may round the other way
    assert (boxes[:, 2] > 0).any()
