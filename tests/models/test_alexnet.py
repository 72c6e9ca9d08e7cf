"""`alexnet` against torchvision's, and at sizes that torchvision's does not take."""

import pytest
import torch
import torchvision
from torch import nn

from netwright.config.models import AlexNet
from netwright.models import build_model


def built(side: int, channels: int = 3, num_outputs: int = 7) -> nn.Module:
    with torch.device("meta"):
        return build_model(
            AlexNet(), in_channels=channels, image_size=(side, side), num_outputs=num_outputs, output="logits"
        )


@pytest.mark.parametrize("side", [63, 64, 224])
def test_from_63_pixels_on_it_is_torchvisions(side: int) -> None:
    network = built(side, num_outputs=1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 61_100_840
    assert str(network) == str(torchvision.models.alexnet())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [1, 8, 14, 15, 28, 32, 39, 40, 62, 63, 96])
def test_every_size_works(side: int, channels: int) -> None:
    network = built(side, channels)
    assert network(torch.empty(2, channels, side, side, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("side", [8, 28, 48])
def test_small_images_change_the_first_convolution_only(side: int) -> None:
    ours, theirs = built(side).state_dict(), built(224).state_dict()
    assert [name for name in theirs if ours[name].shape != theirs[name].shape] == ["features.0.weight"]


def test_log_probabilities_follow_the_classifier() -> None:
    with torch.device("meta"):
        network = build_model(
            AlexNet(dropout=0.2), in_channels=1, image_size=(28, 28), num_outputs=7, output="log_probabilities"
        )
    assert isinstance(network.classifier[-1], nn.LogSoftmax)  # type: ignore[index]
    assert network.classifier[0].p == 0.2  # type: ignore[index]


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    network = build_model(AlexNet(), in_channels=1, image_size=(28, 28), num_outputs=7, output="logits")
    nn.functional.cross_entropy(network(torch.randn(2, 1, 28, 28)), torch.tensor([0, 6])).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
