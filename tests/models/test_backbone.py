"""The cut before the head: backbone and head, one after the other, are the whole network, bit for bit."""

import pytest
import torch
import torchvision
from torch import nn

from netwright.config.models import MODELS
from netwright.errors import RecipeError
from netwright.models import build_model
from netwright.models.backbone import split

QUICK = (
    *("resnet18", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "regnet_x_400mf"),
    *("densenet121", "convnext_tiny", "swin_t", "efficientnet_b0", "alexnet"),
)


@pytest.mark.parametrize("name", QUICK)
def test_backbone_and_head_are_the_whole_network(name: str) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None, num_classes=5).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(images)
        backbone, head = split(network)
        assert torch.equal(head(backbone(images)), expected)
        assert torch.equal(network(images), expected)  # which the cut leaves as it is
    assert {id(parameter) for part in (backbone, head) for parameter in part.parameters()} == {
        id(parameter) for parameter in network.parameters()
    }


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn", "alexnet"])
@pytest.mark.parametrize("output", ["logits", "log_probabilities"])
def test_built_in_networks_are_cut_too(name: str, output: str) -> None:
    torch.manual_seed(0)
    model = MODELS.convert(name, "model")
    network = build_model(model, in_channels=1, image_size=(32, 32), num_outputs=3, output=output).eval()  # type: ignore[arg-type]
    backbone, head = split(network)
    images = torch.randn(4, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(head(backbone(images)), network(images))
    assert sum(p.numel() for p in head.parameters()) % 3 == 0


def test_network_without_a_head_is_explained() -> None:
    with pytest.raises(RecipeError, match=r"no head to be found.*call the last layer `head`"):
        split(nn.Conv2d(3, 3, 3))
