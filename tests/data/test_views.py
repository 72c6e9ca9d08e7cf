"""Views at test time against their description written out with torchvision's functions."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from netwright.data.views import NUM_VIEWS, with_views
from netwright.errors import InputError


def network(images: Tensor) -> Tensor:
    """Something that sees where everything is, and is not linear."""
    weights = torch.linspace(-1, 1, images[0].numel()).view_as(images[0])
    return torch.stack([(images * weights).sum(dim=(1, 2, 3)).tanh(), (images**2 * weights).sum(dim=(1, 2, 3))], dim=1)


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Moved by so many pixels, the border reflected."""
    height, width = images.shape[2:]
    return tv.crop(tv.pad(images, [1, 1, 1, 1], padding_mode="reflect"), 1 - down, 1 - right, height, width)


@pytest.mark.parametrize("shape", [(5, 3, 6, 7), (2, 1, 4, 4)])
def test_answers_are_weighted_means_over_the_views(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    images = torch.randn(shape)
    places = {(0, 0): 0.5, (1, 1): 0.25, (-1, -1): 0.25}
    both = {place: (network(shifted(images, *place)), network(tv.hflip(shifted(images, *place)))) for place in places}
    six = sum(weight * (both[place][0] + both[place][1]) / 2 for place, weight in places.items())
    torch.testing.assert_close(with_views(network, "mirror")(images), (both[0, 0][0] + both[0, 0][1]) / 2)
    torch.testing.assert_close(with_views(network, "mirror_shift")(images), six)
    assert torch.equal(with_views(network, "none")(images), network(images))


@pytest.mark.parametrize(("views", "num_views"), NUM_VIEWS.items())
def test_the_stated_number_is_the_number_of_passes(views: str, num_views: int) -> None:
    seen = []
    with_views(lambda images: seen.append(images) or images.mean(dim=(2, 3)), views)(torch.rand(2, 3, 5, 5))
    assert len({tuple(images.flatten().tolist()) for images in seen}) == num_views


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match=r"`transform.views` is 'mirror' and the network's input is \(4, 7\)"):
        with_views(network, "mirror")(torch.rand(4, 7))
