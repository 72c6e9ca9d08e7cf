"""Growing resolution: which size when, and how it is made."""

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from netwright.data.augment.resolution import resized, side_of


def test_the_last_size_is_that_of_all_later_epochs() -> None:
    assert [side_of((24, 24, 32), epoch) for epoch in range(1, 6)] == [24, 24, 32, 32, 32]
    assert side_of((), 1) is None


@pytest.mark.parametrize(
    ("shape", "side", "expected"), [((4, 3, 32, 32), 24, [24, 24]), ((2, 1, 20, 31), 10, [10, 16])]
)
def test_pixels_are_torchvisions(shape: tuple[int, ...], side: int, expected: list[int]) -> None:
    torch.manual_seed(0)
    images = torch.randn(shape).contiguous(memory_format=torch.channels_last)
    reference = tv.resize(images.contiguous(), expected, InterpolationMode.BILINEAR, antialias=True)
    torch.testing.assert_close(resized(images, side), reference)
    assert resized(images, min(shape[2:])) is images
    assert resized(images, None) is images
