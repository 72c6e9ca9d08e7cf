"""The network of the CIFAR-10 record (airbench94_muon) out of `cnn`'s fields, against plain functions; its parts."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from netwright.config.models import Cnn
from netwright.config.recipe import build_recipe
from netwright.errors import RecipeError
from netwright.models import build_model
from netwright.models.whitening import Whitening, whiten, whitening_of

RECORD = Cnn(
    channels=(64, 64, 256, 256, 256, 256),
    pool_after=(1, 3, 5),
    pool_first=True,
    activation="gelu",
    batch_norm=True,
    norm_scale=False,
    norm_momentum=0.4,
    norm_eps=1e-12,
    conv_bias=False,
    init="identity",
    whitening=2,
    global_pooling="max",
    head_scale=1 / 256,
)


def built(model: Cnn, channels: int = 3, side: int = 32) -> nn.Module:
    torch.manual_seed(3)
    return build_model(model, in_channels=channels, image_size=(side, side), num_outputs=10, output="logits")


def plain_forward(weights: dict[str, Tensor], images: Tensor, statistics: dict[str, Tensor]) -> Tensor:
    """The record's network in training mode, written down from its description; `statistics` collects batch norm's."""
    x = functional.gelu(functional.conv2d(images, weights["whitening.conv.weight"], weights["whitening.conv.bias"]))
    for place in range(6):
        x = functional.conv2d(x, weights[f"features.{place}.conv.weight"], padding=1)
        if place % 2 == 0:
            x = functional.max_pool2d(x, 2)
        mean, variance = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), unbiased=False)
        count = x.numel() / x.shape[1]
        statistics[f"features.{place}.norm.running_mean"] = 0.4 * mean
        statistics[f"features.{place}.norm.running_var"] = 0.6 + 0.4 * variance * count / (count - 1)
        x = (x - mean.view(1, -1, 1, 1)) / (variance.view(1, -1, 1, 1) + 1e-12).sqrt()
        x = functional.gelu(x + weights[f"features.{place}.norm.bias"].view(1, -1, 1, 1))
    x = functional.max_pool2d(x, 3).flatten(1)
    return x @ weights["head.weight"].T / 256


def test_outputs_gradients_and_statistics_equal_the_plain_network() -> None:
    network = built(RECORD).double()
    weights = {name: p.detach().clone().requires_grad_(p.requires_grad) for name, p in network.named_parameters()}
    torch.manual_seed(0)
    images, targets = torch.randn(6, 3, 32, 32, dtype=torch.float64), torch.arange(6)
    statistics: dict[str, Tensor] = {}
    expected = plain_forward(weights, images, statistics)
    outputs = network(images)
    torch.testing.assert_close(outputs, expected)
    functional.cross_entropy(outputs, targets, label_smoothing=0.2).backward()
    functional.cross_entropy(expected, targets, label_smoothing=0.2).backward()
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    norms = {f"features.{place}.norm" for place in range(6)}
    assert {name for name in weights if name not in trained} == {"whitening.conv.weight"} | {
        f"{n}.weight" for n in norms
    }
    for name in trained:
        torch.testing.assert_close(network.get_parameter(name).grad, weights[name].grad)
    buffers = dict(network.named_buffers())
    for name, value in statistics.items():
        torch.testing.assert_close(buffers[name], value)


def test_it_has_the_records_size_and_cost() -> None:
    """1.97 million parameters; 708 MFLOP an image forward and backward (two for every multiply-add)."""
    network = built(RECORD)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 1.97
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 3, 32, 32)).sum().backward()
    assert round(counter.get_total_flops() / 2e6) == 708


@pytest.mark.parametrize("side", [24, 26, 32, 40])
def test_any_size_of_image_will_do(side: int) -> None:
    assert built(RECORD)(torch.randn(2, 3, side, side)).shape == (2, 10)


@pytest.mark.parametrize("channels", [(8, 4), (3, 5, 7)])
def test_identity_hands_channels_on(channels: tuple[int, ...]) -> None:
    network = built(Cnn(channels=channels, init="identity", pooling="none", conv_bias=False))
    images = torch.rand(2, 3, 6, 6)
    features = network.get_submodule("features")(images)
    kept = min(3, *channels)
    assert torch.equal(features[:, :kept], images[:, :kept])
    assert channels[0] <= 3 or not torch.equal(network.get_submodule("features.0")(images)[:, 3], images[:, 0])


def test_global_pooling_is_the_mean_or_the_maximum_over_all_places() -> None:
    for pooling, number in (("average", np.mean), ("max", np.max)):
        network = built(Cnn(channels=(4,), global_pooling=pooling), side=9)
        images = torch.randn(2, 3, 9, 9)
        features = network.get_submodule("features")(images).detach()
        pooled = network.get_submodule("global_pool")(features)
        assert np.allclose(pooled, number(features.numpy(), axis=(2, 3)), atol=1e-6)


def test_a_scaled_head_begins_with_deviation_one() -> None:
    network = built(Cnn(channels=(64,), head_scale=0.5, global_pooling="average"))
    head = network.get_submodule("head")
    assert isinstance(head, nn.Linear)
    assert head.bias is None
    assert head.weight.std().item() == pytest.approx(1, abs=1e-5)
    features = torch.randn(3, 64)
    torch.testing.assert_close(head(features), features @ head.weight.T * 0.5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [2, 3])
def test_whitening_decorrelates_the_patches_it_saw(channels: int, size: int) -> None:
    """Against NumPy: the first half's responses are uncorrelated, of variance 1; the second half is their negative."""
    torch.manual_seed(0)
    layer = Whitening(channels, size, "relu")
    smooth = functional.avg_pool2d(torch.randn(40, channels, 14, 14), 3, 1) * 5
    mixed = smooth.roll(1, dims=1) * 0.5 + smooth
    whiten(layer, mixed.split(16))
    windows = np.lib.stride_tricks.sliding_window_view(mixed.numpy().astype(np.float64), (size, size), axis=(2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, channels * size * size)
    filters = layer.conv.weight.detach().numpy().reshape(2, channels * size * size, -1)
    responses = patches @ filters[0].T
    eigenvalues = np.linalg.eigvalsh(patches.T @ patches / len(patches))
    expected = np.diag(eigenvalues / (eigenvalues + 5e-4))
    assert np.allclose(responses.T @ responses / len(patches), expected, atol=1e-3)
    assert np.array_equal(filters[1], -filters[0])


def test_whitening_is_the_same_in_any_batches() -> None:
    images = torch.randn(30, 3, 8, 8)
    layers = [Whitening(3, 2, "gelu") for _ in range(2)]
    whiten(layers[0], [images])
    whiten(layers[1], images.flip(0).split(7))
    torch.testing.assert_close(layers[0].conv.weight, layers[1].conv.weight, atol=1e-4, rtol=1e-4)


def test_the_whitening_filters_get_no_gradient_and_the_bias_does() -> None:
    network = built(RECORD)
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    layer = whitening_of(network)
    assert layer is not None and layer.conv.bias is not None
    assert layer.conv.weight.grad is None
    assert layer.conv.bias.grad is not None


def test_a_network_without_whitening_has_none() -> None:
    assert whitening_of(built(Cnn())) is None


def test_patches_larger_than_the_image_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"whitening layer \(patches of 9 × 9\) finds 8 × 8"):
        built(Cnn(whitening=9), side=8)


def test_identity_and_maxout_do_not_go_together() -> None:
    with pytest.raises(RecipeError, match=r"'identity' and `model.activation` is 'maxout'"):
        build_recipe({"model": {"name": "cnn", "init": "identity", "activation": "maxout"}})


def test_maxout_after_whitening_halves_its_channels() -> None:
    assert built(Cnn(whitening=2, activation="maxout", channels=(4, 5)))(torch.randn(2, 3, 32, 32)).shape == (2, 10)
