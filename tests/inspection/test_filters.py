"""Filters and feature maps against the weights and the layers called by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.errors import InputError
from netwright.inspection.filters import feature_maps, first_filters


def test_filters_of_colour_images() -> None:
    convolution = nn.Conv2d(3, 6, (3, 5))
    found = first_filters(nn.Sequential(nn.Identity(), convolution, nn.Conv2d(6, 2, 1)))
    assert (found.layer, found.tiles.shape, found.num_channels) == ("1", (6, 3, 5, 3), 6)
    weight = convolution.weight.detach().numpy()
    for k in range(6):
        back = (found.tiles[k].astype(float) / 127.5 - 1) * np.abs(weight[k]).max()
        np.testing.assert_allclose(back, weight[k].transpose(1, 2, 0), atol=np.abs(weight[k]).max() / 127)


def test_filters_of_gray_and_of_many_channels() -> None:
    gray = first_filters(nn.Conv2d(1, 4, 3))
    assert gray.tiles.shape == (4, 3, 3) and gray.layer == ""
    convolution = nn.Conv2d(5, 4, 3)
    many = first_filters(convolution, most=7)
    assert many.tiles.shape == (7, 3, 3) and many.num_channels == 20
    sixth = convolution.weight.detach()[1, 1].numpy()  # after the five inputs of the first filter
    assert (
        np.array_equal(many.tiles[6].argsort(axis=None), sixth.argsort(axis=None))
        or np.corrcoef(many.tiles[6].ravel(), sixth.ravel())[0, 1] > 0.999
    )
    zero = nn.Conv2d(1, 1, 2)
    nn.init.zeros_(zero.weight)
    assert np.unique(first_filters(zero).tiles).tolist() == [128]
    with pytest.raises(InputError, match="no convolution"):
        first_filters(nn.Linear(3, 2))


def test_feature_maps_are_the_most_active_channels_of_the_layer() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(2))
    image = torch.randn(3, 6, 6)
    network(image[None])
    with torch.no_grad():
        before = F.conv2d(image[None], network[0].weight, network[0].bias)[0]
    for layer, maps in (("0", before), ("1", before.relu())):
        found = feature_maps(network, image, layer, most=3)
        means = maps.mean(dim=(1, 2)).numpy()
        assert list(found.places) == np.argsort(-means)[:3].tolist() and found.num_channels == 8
        shown = maps[list(found.places)].numpy()
        scaled = (shown - shown.min()) / (shown.max() - shown.min())
        np.testing.assert_allclose(found.tiles / 255, scaled, atol=1 / 255)
    assert network.training and not network[0]._forward_hooks


def test_a_layer_without_places() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(InputError, match="has no feature maps"):
        feature_maps(network, torch.zeros(1, 4, 4), "2")
    with pytest.raises(InputError, match="no layer 'conv'"):
        feature_maps(network, torch.zeros(1, 4, 4), "conv")
