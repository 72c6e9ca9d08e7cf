"""What is drawn: distributions at fixed seeds, and random resized crop's boxes against a loop over samples."""

import math

import pytest
import torch
from torch import Tensor

from netwright.config.augmentations import ColorJitter, HorizontalFlip
from netwright.data.augment import build_augmentation
from netwright.data.augment.color import draw_jitter
from netwright.data.augment.crop import draw_offsets
from netwright.data.augment.erase import draw_squares
from netwright.data.augment.flip import draw_mask
from netwright.data.augment.pixels import below
from netwright.data.augment.resized_crop import TRIES, draw_boxes
from netwright.runtime.randomness import uniforms


def numbers(num: int, count: int) -> Tensor:
    return uniforms(0, "draws", 0, torch.arange(num), count)


def chi_square(values: Tensor, num_bins: int) -> float:
    """Return the statistic per degree of freedom of equally likely bins: about 1."""
    counts = values.bincount(minlength=num_bins).double()
    assert len(counts) == num_bins
    expected = len(values) / num_bins
    return float(((counts - expected) ** 2 / expected).sum() / (num_bins - 1))


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_flip_rate_is_p(p: float) -> None:
    num = 20_000
    rate = float(draw_mask(numbers(num, 1), p).double().mean())
    assert abs(rate - p) <= 4 * math.sqrt(p * (1 - p) / num)


def test_crop_offsets_are_uniform_and_independent() -> None:
    tops, lefts = draw_offsets(numbers(20_000, 2), padding=4)
    assert chi_square(tops, 9) < 2.5
    assert chi_square(lefts, 9) < 2.5
    assert chi_square(tops * 9 + lefts, 81) < 1.6


def test_largest_uniform_stays_below_every_count() -> None:
    counts = torch.cat([torch.arange(1, 100_000), torch.tensor([2**24 - 1, 2**24])])
    assert (below(torch.full(counts.shape, 1 - 2**-24), counts) == counts - 1).all()


def test_cutout_centres_are_anywhere() -> None:
    tops, lefts = draw_squares(numbers(20_000, 2), 12, 10, size=5)
    assert chi_square(tops + 2, 12) < 2.5
    assert chi_square(lefts + 2, 10) < 2.5


def test_color_jitter_draws_all_orders_and_the_declared_ranges() -> None:
    jitter = draw_jitter(numbers(24_000, 8), ColorJitter(brightness=0.2, contrast=1.5, saturation=0.0, hue=0.1))
    assert jitter.hue_shifts is not None
    order_codes = (jitter.order * torch.tensor([9, 3, 1])).sum(dim=1)
    _, order_numbers = order_codes.unique(return_inverse=True)
    assert chi_square(order_numbers * 4 + jitter.num_before_hue, 24) < 2
    for values, low, high in (
        (jitter.factors[:, 0], 0.8, 1.2),
        (jitter.factors[:, 1], 0.0, 2.5),
        (jitter.hue_shifts, -0.1, 0.1),
    ):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert abs(float(values.mean()) - (low + high) / 2) < 0.02 * (high - low)
    assert (jitter.factors[:, 2] == 1).all()


def reference_box(
    row: list[float], height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[int, int, int, int]:
    """torchvision's RandomResizedCrop.get_params with the random numbers given."""
    for i in range(TRIES):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * row[i])
        logs = math.log(ratio[0]), math.log(ratio[1])
        aspect = math.exp(logs[0] + (logs[1] - logs[0]) * row[TRIES + i])
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(row[2 * TRIES] * (height - h + 1)), int(row[2 * TRIES + 1] * (width - w + 1)), h, w
    in_ratio = width / height
    w, h = width, height
    if in_ratio < min(ratio):
        h = round(w / min(ratio))
    elif in_ratio > max(ratio):
        w = round(h * max(ratio))
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [
        (56, 56, (0.08, 1.0), (0.75, 4 / 3)),
        (49, 80, (0.5, 1.0), (0.75, 4 / 3)),  # many tries fail
        (20, 100, (0.9, 1.0), (0.75, 4 / 3)),  # every try fails: too wide
        (100, 20, (0.9, 1.0), (0.75, 4 / 3)),  # every try fails: too narrow
        (30, 30, (0.9, 1.0), (2.0, 3.0)),
    ],
)
def test_boxes_equal_torchvisions_algorithm(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    rows = numbers(3000, 2 * TRIES + 2)
    boxes = draw_boxes(rows, torch.tensor([[height, width]]).expand(3000, 2), scale, ratio)
    expected = torch.tensor([reference_box(row, height, width, scale, ratio) for row in rows.tolist()])
    differs = (boxes != expected).any(dim=1)  # float32 instead of float64 may round the other way
    assert differs.sum() <= 3
    assert (boxes >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, 0] + boxes[:, 2] <= height).all()
    assert (boxes[:, 1] + boxes[:, 3] <= width).all()


def test_alternating_flip_mirrors_half_and_then_the_other_half() -> None:
    augment = build_augmentation((HorizontalFlip(alternating=True),), 7, (4, 5))
    assert augment is not None
    pixels = torch.randint(0, 256, (2_000, 4, 5, 3), dtype=torch.uint8)
    rows = torch.arange(len(pixels))
    epochs = [augment(pixels, epoch, rows) for epoch in range(1, 6)]
    mirrored = (epochs[0] == pixels.flip(2)).flatten(1).all(dim=1)
    assert abs(float(mirrored.double().mean()) - 0.5) < 0.05
    for epoch, seen in enumerate(epochs, start=1):
        expected = torch.where((mirrored if epoch % 2 else ~mirrored).view(-1, 1, 1, 1), pixels.flip(2), pixels)
        assert torch.equal(seen, expected)
    assert torch.equal(augment(pixels[100:200], 3, rows[100:200]), epochs[2][100:200])  # its sample's own affair
    other = build_augmentation((HorizontalFlip(alternating=True),), 8, (4, 5))
    assert other is not None and not torch.equal(other(pixels, 1, rows), epochs[0])
