"""The table of layers against shapes computed by hand and against the network's own parameters."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import inception_v3, resnet50, vit_b_16

from netwright.config.models import Cnn
from netwright.inspection.summary import Summary, summarize
from netwright.models import build_model


def total(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


def rows(summary: Summary) -> dict[str, tuple[Any, ...]]:
    return {layer.name: (layer.kind, layer.output_shapes, layer.num_parameters) for layer in summary.layers}


def num_hooks(network: nn.Module) -> int:
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in network.modules())


def test_a_small_network_layer_by_layer() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    network[0].bias.requires_grad_(False)
    summary = summarize(network, (3, 8, 8))
    assert rows(summary) == {
        "0": ("Conv2d", ((None, 4, 6, 6),), 4 * 27 + 4),
        "1": ("ReLU", ((None, 4, 6, 6),), 0),
        "2": ("MaxPool2d", ((None, 4, 3, 3),), 0),
        "3": ("Flatten", ((None, 36),), 0),
        "4": ("Linear", ((None, 5),), 36 * 5 + 5),
    }
    assert [layer.num_frozen for layer in summary.layers] == [4, 0, 0, 0, 0]
    assert (summary.num_parameters, summary.num_frozen) == (total(network), 4)
    assert json.loads(json.dumps(summary.to_mapping()))["layers"][0]["output_shapes"] == [[None, 4, 6, 6]]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, None])
def test_folded_to_any_depth_the_parameters_add_up(depth: int | None) -> None:
    network = build_model(
        Cnn(channels=(8, 8), whitening=2, batch_norm=True, classifier_sizes=(9,)),
        in_channels=3, image_size=(12, 12), num_outputs=2, output="log_probabilities",
    )  # fmt: skip
    summary = summarize(network, (3, 12, 12), depth=depth)
    assert sum(layer.num_parameters for layer in summary.layers) == total(network) == summary.num_parameters
    frozen = sum(each.numel() for each in network.parameters() if not each.requires_grad)
    assert sum(layer.num_frozen for layer in summary.layers) == frozen > 0
    assert len(summary.layers) == {1: 6, 2: 8, 3: 15, 4: 15, None: 15}[depth]


def test_resnet50_is_a_readable_table() -> None:
    network = resnet50(weights=None)
    summary = summarize(network, (3, 64, 64))
    assert [layer.name for layer in summary.layers][:6] == ["conv1", "bn1", "relu", "maxpool", "layer1.0", "layer1.1"]
    assert len(summary.layers) == 22
    assert rows(summary)["layer4.2"] == (
        "Bottleneck", ((None, 2048, 2, 2),), sum(each.numel() for each in network.layer4[2].parameters()),
    )  # fmt: skip
    assert summary.num_parameters == total(network) == 25_557_032  # torchvision's page of ResNet-50


def test_parameters_that_a_container_holds_itself_have_a_row() -> None:
    network = vit_b_16(weights=None, image_size=32)
    for depth in (1, 3, 5, 6):
        summary = summarize(network, (3, 32, 32), depth=depth)
        assert sum(layer.num_parameters for layer in summary.layers) == total(network)
    own = [(layer.name, layer.num_parameters) for layer in summary.layers if layer.own]
    assert own == [("", 768), ("encoder", 5 * 768)]  # the class token, the places of 4 patches and of the token


class Odd(nn.Module):
    """Uses a layer twice, another under two names, and a head never; answers with a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten = nn.Linear(3, 7)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.same = self.conv
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.tied = nn.Linear(5, 5, bias=False)
        self.tied_too = nn.Linear(5, 5, bias=False)
        self.tied_too.weight = self.tied.weight

    def forward(self, images: Tensor) -> dict[str, Any]:
        features = self.same(self.conv(images)).mean(dim=2).transpose(1, 2)
        sequence, state = self.lstm(features)
        return {"logits": self.tied_too(self.tied(sequence[:, -1])), "state": [state]}


def test_shared_repeated_unused_and_answers_of_many_tensors() -> None:
    network = Odd()
    summary = summarize(network, (3, 4, 6))
    names = [layer.name for layer in summary.layers]
    assert names == ["conv", "lstm", "tied", "tied_too", "forgotten"]  # in the order of use
    assert [layer.num_calls for layer in summary.layers] == [2, 1, 1, 1, 0]
    assert summary.layers[1].output_shapes == ((None, 6, 5), (1, 2, 5), (1, 2, 5))
    assert summary.layers[-1].output_shapes == ()
    assert [layer.num_parameters for layer in summary.layers[2:4]] == [25, 0]
    assert summary.num_parameters == total(network)


def test_an_auxiliary_head_that_eval_mode_leaves_out() -> None:
    summary = summarize(inception_v3(weights=None, init_weights=False), (3, 75, 75), depth=1)
    unused = [layer.name for layer in summary.layers if not layer.num_calls]
    assert unused == ["AuxLogits"] and summary.layers[-1].name == "AuxLogits"


def test_nothing_of_the_network_is_changed() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(8, 2))
    network[1].eval()  # a frozen norm in a network that trains
    state = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    summarize(network, (1, 4, 4))
    assert [module.training for module in network] == [True, False, True, True, True] and network.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random) and num_hooks(network) == 0
    with pytest.raises(RuntimeError):
        summarize(network, (3, 4, 4))
    assert network.training and not network[1].training and num_hooks(network) == 0


def test_networks_of_other_types_and_without_weights() -> None:
    assert summarize(nn.Linear(4, 2).double(), (4,)).layers[0].output_shapes == ((None, 2),)
    assert summarize(nn.Flatten(), (3, 2, 2)).num_parameters == 0
