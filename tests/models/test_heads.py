"""Heads of ours on torchvision's networks: what they compute, where their weights lie, and what stays as it was."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from netwright.config.models import MODELS, Head, Model, TorchvisionModel
from netwright.errors import RecipeError
from netwright.models import build_model, torchvision_models
from netwright.models.backbone import find_head, split

FAMILIES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "maxvit_t"),
    *("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "resnet18", "shufflenet_v2_x0_5"),
    *("squeezenet1_1", "swin_t", "vgg11", "vit_b_16"),
)
HEADS = [
    Head(name="linear"),
    Head(name="linear", dropout=0.3),
    Head(name="hidden", sizes=(9, 8), dropout=0.4, batch_norm=True),
    Head(name="concat_pool", sizes=(6,)),
]


def side_for(name: str) -> int:
    return {"maxvit_t": 224, "vit_b_16": 32}.get(name, 64)


def built(name: str, head: Head | None, num_outputs: int = 5) -> nn.Module:
    torch.manual_seed(3)
    model = MODELS.convert({"name": name, "head": head}, "model")
    assert isinstance(model, Model)
    size = (side_for(name), side_for(name))
    return build_model(model, in_channels=3, image_size=size, num_outputs=num_outputs, output="logits").eval()


def images_for(name: str) -> Tensor:
    return torch.randn(3, 3, side_for(name), side_for(name), generator=torch.Generator().manual_seed(5))


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize("name", FAMILIES)
def test_every_head_goes_on_every_family(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives (B, K), is found again, and comes after the backbone; all that K changes is in it."""
    monkeypatch.setattr(torchvision_models, "_takes", lambda *_: True)
    for head in HEADS[1:]:
        if (name, head.name) == ("vit_b_16", "concat_pool"):
            continue
        network = built(name, head).to("meta")
        backbone, found = split(network)
        features = backbone(torch.empty(2, 3, side_for(name), side_for(name), device="meta"))
        assert features.dim() == 2 or head.name == "concat_pool"
        assert found(features).shape == (2, 5)
        assert [layer.p for layer in found.modules() if isinstance(layer, nn.Dropout)] == {
            "linear": [0.3] if head.dropout else [],
            "hidden": [0.4, 0.4],
            "concat_pool": [0.25, 0.5],
        }[head.name]
        *_, weight, bias = network.state_dict().items()
        assert find_head(network).holds(weight[0]) and find_head(network).holds(bias[0])
        assert (weight[1].shape[0], bias[1].shape) == (5, (5,))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_features_are_pooled_as_said(name: str) -> None:
    """Against the network's last map, taken from torchvision's own network by a hook."""
    torch.manual_seed(3)
    plain = torchvision.models.get_model(name, weights=None, num_classes=5).eval()
    last = {"resnet18": "layer4", "shufflenet_v2_x0_5": "conv5"}.get(name, "features")
    maps: list[Tensor] = []
    plain.get_submodule(last).register_forward_hook(lambda *given: maps.append(given[2].relu()))
    images = images_for(name)
    with torch.no_grad():
        plain(images)
        average, largest = maps[0].mean((2, 3)), maps[0].amax((2, 3))
        linear, both = (split(built(name, head))[0](images) for head in (HEADS[0], HEADS[3]))
    torch.testing.assert_close(linear, average)
    torch.testing.assert_close(both.flatten(1), torch.cat([average, largest], dim=1))


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize("name", ["resnet18", "densenet121", "vgg11", "efficientnet_b0", "convnext_tiny"])
def test_linear_head_keeps_torchvisions_names(name: str) -> None:
    network = built(name, Head())
    plain = torchvision.models.get_model(name, weights=None, num_classes=5)
    shapes = {key: value.shape for key, value in plain.state_dict().items()}
    assert {key: value.shape for key, value in network.state_dict().items()} == shapes


def test_own_head_is_the_architectures() -> None:
    own, nothing_said = built("squeezenet1_1", Head(name="own")), built("squeezenet1_1", None)
    plain = torchvision.models.squeezenet1_1(num_classes=5).eval()
    plain.load_state_dict(own.state_dict())
    images = images_for("squeezenet1_1")
    with torch.no_grad():
        assert torch.equal(own(images), plain(images))
        assert torch.equal(own(images), nothing_said(images))


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_hidden_head_of_our_own_networks_keeps_their_output(name: str) -> None:
    model = MODELS.convert({"name": name, "head": {"name": "hidden", "sizes": [7]}}, "model")
    assert isinstance(model, Model)
    network = build_model(model, in_channels=1, image_size=(8, 8), num_outputs=3, output="log_probabilities").eval()
    images = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        answers = network(images)
        backbone, head = split(network)
        assert torch.equal(head(backbone(images)), answers)
    torch.testing.assert_close(answers.exp().sum(1), torch.ones(2))


@pytest.mark.parametrize("name", ["vit_b_16", "mlp"])
def test_network_without_places_can_not_pool_over_them(name: str) -> None:
    with pytest.raises(RecipeError, match="does not pool over places before its head; use linear or hidden"):
        built(name, Head(name="concat_pool"))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("linaer", r"`model\.head\.name` is 'linaer' \(did you mean \"linear\"\?\)"),
        ({"name": "hidden", "size": [3]}, r"`model\.head\.size` is not a field.*did you mean \"sizes\""),
        ({"name": "linear", "sizes": [3]}, r"`model\.head\.sizes` is given and the head 'linear' has none"),
        ({"name": "hidden", "sizes": []}, r"`model\.head\.sizes` is empty"),
        ({"name": "hidden", "dropout": 1.0}, r"`model\.head\.dropout` is 1\.0"),
    ],
)
def test_heads_that_make_no_sense_are_refused(head: object, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        MODELS.convert({"name": "resnet18", "head": head}, "model")


def test_a_name_alone_is_a_head() -> None:
    model = MODELS.convert({"name": "resnet18", "head": "concat_pool"}, "model")
    assert isinstance(model, TorchvisionModel)
    assert model.head == Head(name="concat_pool")
