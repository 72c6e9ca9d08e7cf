"""`unet` against a U-Net written by hand with the same weights; its encoders; its errors."""

from collections import OrderedDict

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from netwright.config.models import Head, TorchvisionModel, Unet
from netwright.config.sections import Training
from netwright.errors import RecipeError, WeightsError
from netwright.models import build_model
from netwright.models.build import Sizes, build_pretrained
from netwright.models.pretrained import Pretrained
from netwright.models.stages import stages_of
from netwright.training.fine_tuning import freeze_for_good, train_mode, trained_stages

RGB: Sizes = {"in_channels": 3, "image_size": (64, 64), "num_outputs": 3, "output": "logits"}
ENCODERS = ("resnet18", "mobilenet_v2", "squeezenet1_1", "vgg11", "efficientnet_b0", "densenet121", "convnext_tiny")


class ByHand(nn.Module):
    """Two halvings, 8, 16 and 32 channels, batch norm, transposed convolutions: the U-Net of a tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = self.twice(1, 8), self.twice(8, 16), self.twice(16, 32)
        self.up_second, self.up_first = nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)
        self.joined_second, self.joined_first = self.twice(32, 16), self.twice(16, 8)
        self.last = nn.Conv2d(8, 2, 1)

    @staticmethod
    def twice(before: int, after: int) -> nn.Sequential:
        first = (nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        return nn.Sequential(
            *first, nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
        )

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        second = self.second(functional.max_pool2d(first, 2))
        third = self.third(functional.max_pool2d(second, 2))
        second = self.joined_second(torch.cat([second, self.up_second(third)], 1))
        first = self.joined_first(torch.cat([first, self.up_first(second)], 1))
        logits: Tensor = self.last(first)
        return logits


def test_it_equals_the_network_written_by_hand_with_the_same_weights() -> None:
    network = build_model(Unet(depth=2, width=8), in_channels=1, image_size=(32, 48), num_outputs=2, output="logits")
    plain = ByHand()
    pairs = {
        **{"encoder.blocks.0": plain.first, "encoder.blocks.1": plain.second, "encoder.blocks.2": plain.third},
        **{"decoder.1.up": plain.up_second, "decoder.1.block": plain.joined_second},
        **{"decoder.0.up": plain.up_first, "decoder.0.block": plain.joined_first, "head": plain.last},
    }
    for name, module in pairs.items():
        ours = network.get_submodule(name).state_dict()
        module.load_state_dict(OrderedDict(zip(module.state_dict(), ours.values(), strict=True)))
    images = torch.randn(3, 1, 32, 48)
    assert torch.allclose(network(images), plain(images), atol=1e-6)
    loss, loss_by_hand = network(images).square().mean(), plain(images).square().mean()
    loss.backward()
    loss_by_hand.backward()
    assert plain.first[0].weight.grad is not None
    assert torch.allclose(network.get_parameter("encoder.blocks.0.conv1.weight").grad, plain.first[0].weight.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("up", ["transposed", "bilinear"])
@pytest.mark.parametrize("size", [(64, 64), (65, 47), (33, 100), (16, 16)])
def test_the_mask_has_the_size_of_any_image(up: str, size: tuple[int, int]) -> None:
    model = Unet(depth=3, width=4, up=up, batch_norm=False, dropout=0.1)  # type: ignore[arg-type]
    network = build_model(model, in_channels=1, image_size=size, num_outputs=5, output="logits").eval()
    assert network(torch.randn(1, 1, *size)).shape == (1, 5, *size)


def test_depth_and_width_are_the_channels() -> None:
    for depth, width in ((1, 3), (4, 16), (6, 2)):
        network = build_model(Unet(depth=depth, width=width), **RGB)
        convolutions = [network.get_parameter(f"encoder.blocks.{level}.conv2.weight") for level in range(depth + 1)]
        assert [weight.shape[0] for weight in convolutions] == [width * 2**level for level in range(depth + 1)]


@pytest.mark.parametrize("name", ENCODERS)
def test_a_classification_network_is_an_encoder(name: str) -> None:
    network = build_model(Unet(encoder=name, width=4), **RGB).eval()
    plain = torchvision.models.get_model(name, weights=None).eval()
    plain.load_state_dict(network.get_submodule("encoder").state_dict(), strict=False)
    images = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        assert network(images).shape == (2, 3, 96, 96)
        # the last level is what that network has before its pooling and head
        caught: list[Tensor] = []
        level = network.get_submodule("encoder")(images)[-1]
        last = network.get_submodule("encoder").paths[-1][-1]  # type: ignore[operator,index,union-attr]
        plain.get_submodule(str(last)).register_forward_hook(lambda *given: caught.append(given[2].clone()))
        plain(images)
    assert torch.allclose(level, caught[0], atol=1e-5)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Unet(depth=7), "can't be halved so often; take 6 or less"),
        (Unet(encoder="resnet81"), "'resnet81'; expected one of torchvision's"),
        (Unet(encoder="swin_t"), "no chain of stages"),
        (Unet(encoder="vit_b_16"), "no chain of stages"),
        (Unet(encoder="resnet18", depth=6), "resnet18 halves images 5 times"),
        (Unet(head=Head(name="hidden")), "a head of its own"),
    ],
)
def test_what_can_not_be_built_is_explained(model: Unet, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        build_model(model, **{**RGB, "image_size": (96, 96)})


def test_published_weights_go_into_the_encoder() -> None:
    plain = torchvision.models.resnet18()
    weights = Pretrained("w", "the weights", OrderedDict(plain.state_dict()), "")
    network, fit = build_pretrained(Unet(encoder="resnet18", width=4), weights, **{**RGB, "in_channels": 1})
    assert torch.equal(network.get_parameter("encoder.layer3.0.conv1.weight"), plain.layer3[0].conv1.weight)
    assert torch.equal(network.get_parameter("encoder.conv1.weight"), plain.conv1.weight.sum(1, keepdim=True))
    assert fit.left_out == ("fc.weight", "fc.bias")
    with pytest.raises(WeightsError, match="does not fit"):
        build_pretrained(Unet(encoder="mobilenet_v2"), weights, **RGB)


def test_the_weights_of_a_whole_unet_go_into_another_with_other_classes() -> None:
    old = build_model(Unet(depth=2, width=4), **RGB)
    weights = Pretrained("w", "a run", OrderedDict(old.state_dict()), "", class_names=("a", "b", "c"))
    network, fit = build_pretrained(Unet(depth=2, width=4), weights, **{**RGB, "num_outputs": 5})
    assert fit.new_head
    assert torch.equal(network.get_parameter("decoder.0.up.weight"), old.get_parameter("decoder.0.up.weight"))


def test_stages_run_from_the_encoder_to_the_head() -> None:
    names = [stage.name for stage in stages_of(build_model(Unet(encoder="resnet18", width=4), **RGB))]
    assert names == ["encoder.conv1", *(f"encoder.layer{n}" for n in (1, 2, 3, 4)), "decoder", "head"]


@pytest.mark.parametrize(
    ("model", "encoder"),
    [
        (Unet(encoder="resnet18", width=4), "encoder."),
        (TorchvisionModel(name="lraspp_mobilenet_v3_large"), "backbone."),
    ],
)
def test_a_frozen_backbone_is_the_encoder_alone(model: Unet | TorchvisionModel, encoder: str) -> None:
    """The way up has no weights from elsewhere: frozen it would stay random, with a head of a few numbers after it."""
    network = build_model(model, **RGB)
    training = Training(freeze="backbone")
    freeze_for_good(network, training)
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad == (not name.startswith(encoder)), name
    train_mode(network, training, epoch=1)
    for name, module in network.named_modules():
        assert not isinstance(module, nn.BatchNorm2d) or module.training == (not name.startswith(encoder)), name
    begins = [(stage.name, stage.begins) for stage in trained_stages(network, training)]
    assert {begin for name, begin in begins if f"{name}.".startswith(encoder)} == {None}
    assert {begin for name, begin in begins if not f"{name}.".startswith(encoder)} == {1}


@pytest.mark.parametrize("name", torchvision.models.list_models(module=torchvision.models.segmentation))
def test_torchvisions_networks_give_their_out(name: str) -> None:
    sizes = {**RGB, "image_size": (40, 56)}
    torch.manual_seed(4)
    network = build_model(TorchvisionModel(name=name), **sizes).eval()  # type: ignore[arg-type]
    torch.manual_seed(4)
    plain = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=3).eval()
    images = torch.randn(1, 3, 40, 56)
    assert network.state_dict().keys() == plain.state_dict().keys()
    with torch.inference_mode():
        assert torch.equal(network(images), plain(images)["out"])
