"""`cnn` against plain PyTorch modules, known numbers of parameters and its errors."""

import copy
import warnings

import pytest
import torch
from torch import nn

from netwright.config.models import Cnn
from netwright.errors import RecipeError
from netwright.models import build_model

DEEP = Cnn(channels=(5, 10, 20, 40), padding=1, pool_after=(2, 4), classifier_sizes=(1024, 2048))
LENET = Cnn(
    channels=(6, 12), kernel_size=5, padding=0, batch_norm=True, classifier_sizes=(120, 60), classifier_batch_norm=True
)


def built(model: Cnn, image_size: tuple[int, int] = (28, 28), channels: int = 1) -> nn.Module:
    torch.manual_seed(5)
    return build_model(model, in_channels=channels, image_size=image_size, num_outputs=10, output="logits")


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("model", "side", "channels", "expected"),
    [
        (Cnn(channels=(5, 10), pool_after=(2,)), 28, 1, 50 + 460 + 19_610),
        (DEEP, 28, 1, 4_137_324),
        (Cnn(channels=(10, 20), batch_norm=True), 28, 1, 100 + 20 + 1_820 + 40 + 9_810),
        (LENET, 28, 1, 156 + 12 + 1_812 + 24 + 23_160 + 240 + 7_260 + 120 + 610),
        (Cnn(), 32, 3, 113_738),
        (Cnn(), 8, 1, 320 + 18_496 + 73_856 + 1_290),
    ],
)
def test_the_classic_networks_have_their_number_of_parameters(
    model: Cnn, side: int, channels: int, expected: int
) -> None:
    network = built(model, (side, side), channels)
    assert num_parameters(network) == expected
    assert network(torch.zeros(2, channels, side, side)).shape == (2, 10)


def test_the_deep_cnn_equals_the_plain_module_of_the_same_seed() -> None:
    network = built(DEEP)
    torch.manual_seed(5)
    plain = nn.Sequential(
        *(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 10, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(10, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, 40, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1960, 1024), nn.ReLU(), nn.Linear(1024, 2048), nn.ReLU(), nn.Linear(2048, 10)),
    )
    images = torch.randn(3, 1, 28, 28)
    assert torch.equal(network(images), plain(images))


def test_batch_norm_dropout_and_average_pooling_stand_where_they_are_documented() -> None:
    model = Cnn(
        channels=(4, 6),
        kernel_size=5,
        padding=0,
        pooling="average",
        activation="elu",
        batch_norm=True,
        dropout=0.4,
        classifier_sizes=(8,),
        classifier_batch_norm=True,
    )
    network = built(model).train()
    plain = nn.Sequential(
        *(nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4), nn.ELU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(4, 6, 5), nn.BatchNorm2d(6), nn.ELU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.4), nn.Linear(96, 8), nn.BatchNorm1d(8), nn.ELU(), nn.Dropout(0.4)),
        nn.Linear(8, 10),
    )
    plain.load_state_dict(dict(zip(plain.state_dict(), network.state_dict().values(), strict=True)))
    images = torch.randn(6, 1, 28, 28)
    torch.manual_seed(1)
    ours = network(images)
    torch.manual_seed(1)
    assert torch.equal(ours, plain(images))


def test_padding_same_of_an_even_kernel_equals_torch_and_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = built(Cnn(channels=(4,), kernel_size=4, pooling="none"), (9, 7))
        images = torch.randn(2, 1, 9, 7)
        ours = network(images)
    conv = nn.Conv2d(1, 4, 4, padding="same")
    state = network.state_dict()
    conv.load_state_dict({"weight": state["features.0.conv.weight"], "bias": state["features.0.conv.bias"]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        features = torch.relu(conv(images)).flatten(1)
    assert torch.allclose(ours, features @ state["head.weight"].T + state["head.bias"], atol=1e-5)


def test_maxout_convolutions_take_the_larger_of_two_pieces() -> None:
    network = built(Cnn(channels=(4,), activation="maxout", pooling="none"), (6, 6))
    state = network.state_dict()
    images = torch.randn(2, 1, 6, 6)
    pieces = nn.functional.conv2d(images, state["features.0.conv.weight"], state["features.0.conv.bias"], padding=1)
    features = pieces.reshape(2, 2, 4, 6, 6).amax(dim=1).flatten(1)
    assert torch.allclose(network(images), features @ state["head.weight"].T + state["head.bias"], atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        DEEP,
        LENET,
        Cnn(channels=(4, 6), activation="maxout", dropout=0.1, classifier_sizes=(9,)),
        Cnn(channels=(4,), kernel_size=4, pooling="none"),
    ],
)
def test_gradients_reach_every_parameter_and_samples_do_not_mix(model: Cnn) -> None:
    network = built(model)
    images = torch.randn(6, 1, 28, 28)
    nn.functional.cross_entropy(network(images), torch.arange(6)).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
    network.eval()
    alone = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(network(images), alone, atol=1e-5)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_pooling_before_relu_in_place_changes_no_bit(batch_norm: bool) -> None:
    network = built(Cnn(channels=(8, 16), batch_norm=batch_norm), (13, 12), 3)
    plain = []
    for block in network.features:  # type: ignore[union-attr]
        parts = dict(block.named_children())
        assert list(parts)[-2:] == ["pool", "activation"]
        norm = [copy.deepcopy(parts["norm"])] if batch_norm else []
        plain += [copy.deepcopy(parts["conv"]), *norm, nn.ReLU(), copy.deepcopy(parts["pool"])]
    reference = nn.Sequential(*plain, nn.Flatten(), copy.deepcopy(network.head))
    images = torch.randn(5, 3, 13, 12)
    images[0] = 0  # ties: every place of a window is the same
    for module in (network, reference):
        module(images).square().sum().backward()
    assert torch.equal(network(images), reference(images))
    for one, other in zip(network.parameters(), reference.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("activation", ["relu", "maxout"])
def test_memory_format_does_not_change_the_answer(activation: str) -> None:
    network = built(Cnn(channels=(8, 16), activation=activation), (16, 12), 3).eval()  # type: ignore[arg-type]
    images = torch.randn(4, 3, 16, 12)
    expected = network(images)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert torch.allclose(network(images.to(memory_format=torch.channels_last)), expected, atol=1e-5)


def test_too_small_images_name_the_pooling_that_is_too_many() -> None:
    with pytest.raises(RecipeError, match=r"28 × 28 pixels.*pooling \(size 2\) after convolution 5 of 6 finds 1 × 1"):
        built(Cnn(channels=(4,) * 6))
    with pytest.raises(RecipeError, match=r"`model.pool_after`.*`data.image_size`"):
        built(Cnn(), (28, 4))


def test_too_small_images_name_the_convolution_that_is_too_many() -> None:
    with pytest.raises(RecipeError, match=r"convolution 3 of 3 \(kernel 5, padding 0\) finds 4 × 4 pixels left"):
        built(Cnn(channels=(4, 4, 4), kernel_size=5, padding=0))


def test_the_least_size_that_is_let_through_works() -> None:
    network = built(Cnn(channels=(4, 4), kernel_size=5, padding=0), (16, 17))
    assert network(torch.zeros(2, 1, 16, 17)).shape == (2, 10)
    with pytest.raises(RecipeError, match="15 × 17"):
        built(Cnn(channels=(4, 4), kernel_size=5, padding=0), (15, 17))
