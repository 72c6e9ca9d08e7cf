"""Every architecture of torchvision builds for our images; sizes and arguments that do not fit are explained."""

import warnings

import pytest
import torch
import torchvision
from torch import nn

from netwright.config.models import TorchvisionModel
from netwright.errors import RecipeError
from netwright.models import build_model, torchvision_models
from netwright.models.backbone import find_head, split

NAMES = torchvision.models.list_models(module=torchvision.models)
FAMILIES = (
    *("convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t"),
    *("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18", "vgg11"),
    *("resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vit_b_16", "alexnet"),
)


def side_for(name: str) -> int:
    return {"inception_v3": 75, "maxvit_t": 224, "vit_h_14": 28, "alexnet": 64}.get(name, 32)


def built(name: str, channels: int = 3, image_size: tuple[int, int] | None = None, **arguments: object) -> nn.Module:
    size = image_size or (side_for(name), side_for(name))
    model = TorchvisionModel(name=name, arguments=arguments)  # type: ignore[arg-type]
    return build_model(model, in_channels=channels, image_size=size, num_outputs=7, output="logits")


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_builds_and_is_cut_before_its_head(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_models, "_takes", lambda *_: True)  # its trial is this test's own forward pass
    network = built(name).to("meta")
    backbone, head = split(network)
    features = backbone(torch.empty(2, 3, side_for(name), side_for(name), device="meta"))
    assert features.shape[0] == 2
    assert head(features).shape == (2, 7)
    of_head = [key for key in network.state_dict() if find_head(network).holds(key)]
    assert of_head == [key for key in network.state_dict() if key.rpartition(".")[0] == of_head[0].rpartition(".")[0]]
    assert of_head == list(network.state_dict())[-len(of_head) :]  # the class layer alone, the last one


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_takes_gray_images(name: str) -> None:
    network = built(name, channels=1)  # runs it once, on (2, 1, height, width)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert convolutions[0].in_channels == convolutions[0].weight.shape[1] == 1


def test_the_weights_are_torchvisions_own_for_the_same_seed() -> None:
    torch.manual_seed(11)
    network = built("resnet18")
    torch.manual_seed(11)
    plain = torchvision.models.resnet18(num_classes=7)
    assert network.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(ours, plain.state_dict()[name]) for name, ours in network.state_dict().items())
    assert network.training


def test_a_gray_image_is_seen_as_the_same_image_in_rgb() -> None:
    torch.manual_seed(2)
    gray = built("squeezenet1_1", channels=1).eval()
    torch.manual_seed(2)
    color = built("squeezenet1_1", channels=3).eval()
    images = torch.randn(2, 1, 32, 32)
    assert torch.allclose(gray(images), color(images.repeat(1, 3, 1, 1)), atol=1e-5)


def test_other_channel_counts_keep_the_size_of_the_sum() -> None:
    torch.manual_seed(2)
    six = built("squeezenet1_1", channels=6).eval()
    torch.manual_seed(2)
    color = built("squeezenet1_1", channels=3).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(six(images.repeat(1, 2, 1, 1)), color(images), atol=1e-5)


def test_arguments_reach_the_constructor() -> None:
    assert built("squeezenet1_1", dropout=0.125).classifier[0].p == 0.125  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widht": 3}, r"`model.arguments` is \{'widht': 3\} and torchvision's squeezenet1_1 says"),
        ({"dropout": 1.5}, "dropout probability"),
        ({"num_classes": 3}, "`model.arguments.num_classes` is worked out"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        built("squeezenet1_1", **arguments)


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize(
    ("name", "side", "least"), [("inception_v3", 32, 75), ("vgg11", 28, 32), ("squeezenet1_1", 8, 17)]
)
def test_too_small_images_are_told_the_least_size(name: str, side: int, least: int) -> None:
    with pytest.raises(RecipeError, match=f"at least {least} × {least} pixels, and these have {side} × {side} pixels"):
        built(name, image_size=(side, side))
    built(name, image_size=(least, least))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Inception's, about its weights
        plain = torchvision.models.get_model(name).to("meta").eval()
    assert plain(torch.empty(2, 3, least, least, device="meta")).shape == (2, 1000)
    with pytest.raises(RuntimeError):
        plain(torch.empty(2, 3, least - 1, least - 1, device="meta"))


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize(
    ("name", "size", "nearest"),
    [("vit_b_16", (28, 28), 32), ("vit_b_32", (64, 32), 32), ("vit_h_14", (32, 32), 28), ("maxvit_t", (32, 32), 224)],
)
def test_sizes_that_do_not_divide_into_patches_are_told_the_nearest(
    name: str, size: tuple[int, int], nearest: int
) -> None:
    with pytest.raises(RecipeError, match=f"{size[0]} × {size[1]} pixels; set `data.image_size: {nearest}`"):
        built(name, image_size=size)


def test_criteria_that_do_not_take_logits_are_refused() -> None:
    with pytest.raises(RecipeError, match="log-probabilities"):
        build_model(
            TorchvisionModel(name="resnet18"),
            in_channels=3,
            image_size=(32, 32),
            num_outputs=7,
            output="log_probabilities",
        )
