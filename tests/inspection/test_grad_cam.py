"""Grad-CAM against the formula written out by hand, and against CAM, which it equals on global average pooling."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import densenet121, resnet18, squeezenet1_1

from netwright.config.models import Cnn, Linear, Mlp
from netwright.errors import InputError
from netwright.inspection.grad_cam import grad_cam
from netwright.models import build_model


def small(head: str = "flatten", num_outputs: int = 3, last: nn.Module | None = None) -> nn.Sequential:
    """Convolutions with ReLU in place and pooling, as our cnn has them."""
    torch.manual_seed(0)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["features"] = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3, padding=1),
        nn.ReLU(inplace=True),
    )  # fmt: skip
    layers["pool"] = nn.AdaptiveAvgPool2d(1) if head == "pool" else nn.Identity()
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(5 if head == "pool" else 80, num_outputs)
    if last is not None:
        layers["output"] = last
    return nn.Sequential(layers)


def images(number: int = 4) -> Tensor:
    return torch.randn(number, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def normalised(coarse: Tensor, size: tuple[int, int] = (8, 8)) -> Tensor:
    """ReLU, enlarged and scaled, of coarse maps (B, h, w)."""
    large = F.interpolate(coarse.relu()[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return torch.stack([each / each.max() if each.max() > 0 else each for each in large])


def by_hand(network: nn.Sequential, batch: Tensor, classes: Tensor, at: str = "relu") -> Tensor:
    """The formula, image by image, with the layers called one after the other and nothing done in place."""
    conv1, pool, _, conv2, _ = network.features  # type: ignore[misc]
    found = []
    for image, k in zip(batch, classes.tolist(), strict=True):
        before = conv2(F.relu(pool(conv1(image[None]))))
        after = F.relu(before)
        activations = before if at == "conv" else after
        logits = network.head(network.flatten(network.pool(after)))  # type: ignore[operator]
        score = logits[0, k] if logits.shape[1] > 1 else (2 * k - 1) * logits[0, 0]
        (gradient,) = torch.autograd.grad(score, activations)
        alphas = gradient[0].sum(dim=(1, 2)) / gradient[0, 0].numel()
        found.append(sum(alpha * each for alpha, each in zip(alphas, activations[0], strict=True)))
    return normalised(torch.stack(found).detach())  # type: ignore[arg-type]


@pytest.mark.parametrize("head", ["flatten", "pool"])
def test_it_is_the_formula(head: str) -> None:
    network = small(head)
    found = grad_cam(network, images())
    assert found.layer == ("features" if head == "pool" else "pool")  # nn.Identity hands the features on
    assert torch.equal(found.classes, network(images()).argmax(dim=1))
    assert found.maps.shape == (4, 8, 8)
    torch.testing.assert_close(found.maps, by_hand(network, images(), found.classes))
    for k in range(3):
        classes = torch.full((4,), k)
        given = grad_cam(network, images(), classes=classes)
        torch.testing.assert_close(given.maps, by_hand(network, images(), classes))


def test_a_layer_whose_output_is_written_into_afterwards() -> None:
    network = small()
    found = grad_cam(network, images(), layer="features.3")  # before ReLU(inplace=True)
    torch.testing.assert_close(found.maps, by_hand(network, images(), found.classes, at="conv"))
    assert not torch.allclose(found.maps, grad_cam(network, images()).maps)


def test_on_global_average_pooling_it_is_cam() -> None:
    """Zhou et al. 2016: the head's weights of the class, times the activations."""
    network = small("pool")
    found = grad_cam(network, images(16))
    with torch.no_grad():
        activations = network.features(images(16))  # type: ignore[operator]
        cam = torch.einsum("bc,bchw->bhw", network.head.weight[found.classes], activations)  # type: ignore[index]
    torch.testing.assert_close(found.maps, normalised(cam))
    assert found.maps.amin() >= 0 and found.maps.amax() <= 1
    assert found.maps.flatten(1).amax(dim=1).unique().tolist() in ([1.0], [0.0, 1.0])


@pytest.mark.parametrize(
    ("num_outputs", "last"),
    [(3, nn.LogSoftmax(dim=1)), (3, nn.Softmax(dim=1)), (1, nn.Sigmoid()), (1, None)],
    ids=["log_softmax", "softmax", "sigmoid", "one logit"],
)
def test_the_score_is_that_before_the_softmax(num_outputs: int, last: nn.Module | None) -> None:
    network = small(num_outputs=num_outputs, last=last)
    found = grad_cam(network, images(12))
    with torch.no_grad():
        logits = small(num_outputs=num_outputs)(images(12))
    expected = logits.argmax(dim=1) if num_outputs > 1 else (logits[:, 0] > 0).long()
    assert torch.equal(found.classes, expected) and len(expected.unique()) > 1
    torch.testing.assert_close(found.maps, by_hand(network, images(12), expected))


def test_a_functional_log_softmax_gives_the_gradient_of_the_log_probability() -> None:
    class LogProbabilities(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small()

        def forward(self, batch: Tensor) -> Tensor:
            return F.log_softmax(self.body(batch), dim=1)

    assert torch.isfinite(grad_cam(LogProbabilities(), images()).maps).all()


def test_nothing_of_the_network_is_changed() -> None:
    network = small()
    network.features.append(nn.BatchNorm2d(5))  # type: ignore[operator]
    network.train()
    network.features[0].eval()  # type: ignore[index]
    network.head.weight.grad = torch.ones_like(network.head.weight)  # type: ignore[union-attr, arg-type]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    batch = images()
    grad_cam(network, batch)
    assert torch.equal(batch, images()) and not batch.requires_grad
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert network.training and not network.features[0].training  # type: ignore[index, union-attr]
    gradients = {name for name, each in network.named_parameters() if each.grad is not None}
    assert gradients == {"head.weight"} and bool((network.head.weight.grad == 1).all())  # type: ignore[union-attr]
    assert not any(each._forward_hooks for each in network.modules())
    with pytest.raises(RuntimeError):
        grad_cam(network, torch.zeros(1, 7, 8, 8), layer="features")
    assert network.training and not any(each._forward_hooks for each in network.modules())


def test_frozen_networks_and_callers_without_gradients() -> None:
    network, free = small(), small()
    network.requires_grad_(False)
    expected = grad_cam(free, images()).maps
    torch.testing.assert_close(grad_cam(network, images()).maps, expected)
    with torch.inference_mode():
        torch.testing.assert_close(grad_cam(network, images()).maps, expected)
    with torch.no_grad():
        torch.testing.assert_close(grad_cam(free, images()).maps, expected)


def test_where_nothing_speaks_for_the_class_the_map_is_zero() -> None:
    network = small("pool")
    with torch.no_grad():
        network.head.weight[0] = -1.0  # type: ignore[index]
    found = grad_cam(network, images(), classes=torch.zeros(4, dtype=torch.int64))
    assert torch.equal(found.maps, torch.zeros(4, 8, 8))


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (Cnn(channels=(4, 6), activation="relu"), "features"),
        (Cnn(channels=(4, 6), whitening=2, activation="gelu", global_pooling="max"), "features"),
        (Cnn(channels=(4, 6), pool_after=(1,), activation="maxout", classifier_sizes=(5,)), "features"),
    ],
)
@pytest.mark.parametrize("output", ["logits", "log_probabilities"])
def test_our_own_cnn(model: Cnn, layer: str, output: Any) -> None:
    network = build_model(model, in_channels=3, image_size=(12, 16), num_outputs=4, output=output)
    found = grad_cam(network, torch.randn(3, 3, 12, 16))
    assert found.layer == layer and found.maps.shape == (3, 12, 16)


@pytest.mark.parametrize(
    ("build", "layer"), [(resnet18, "layer4"), (densenet121, "features"), (squeezenet1_1, "classifier.2")]
)
def test_torchvisions_networks(build: Any, layer: str) -> None:
    found = grad_cam(build(weights=None, num_classes=5), torch.randn(2, 3, 64, 64))
    assert found.layer == layer and found.maps.shape == (2, 64, 64)


@pytest.mark.parametrize("model", [Linear(), Mlp()])
def test_networks_without_places_say_so(model: Any) -> None:
    network = build_model(model, in_channels=1, image_size=(8, 8), num_outputs=3, output="logits")
    with pytest.raises(InputError, match="no spatial layer"):
        grad_cam(network, torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("featurs.3", 'did you mean "features.3"'),
        ("", "no layer ''"),
        ("head", r"output of 'head' is \(4, 3\)"),
    ],
)
def test_layers_that_do_not_serve(layer: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        grad_cam(small(), images(), layer=layer)
