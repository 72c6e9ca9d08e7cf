"""Muon against an implementation in NumPy and SciPy, against torch's own, and against SGD for what is not Muon's."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group
from torch import nn

from netwright.config.optimization import OPTIMIZERS, Optimizer
from netwright.training.muon import orthogonalized
from netwright.training.optimizer import build_optimizer


def muon(**arguments: Any) -> Optimizer:
    made = OPTIMIZERS.convert({"name": "muon", **arguments}, "optimizer")
    assert isinstance(made, Optimizer)
    return made


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.hidden = nn.Linear(4 * 4, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.hidden(self.conv(x).tanh().flatten(1)).tanh())  # type: ignore[no-any-return]


def quintic(matrix: np.ndarray, steps: int) -> np.ndarray:
    """The iteration on the singular values, where it is a polynomial of numbers."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.linalg.norm(matrix)
    for _ in range(steps):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return (left * values) @ right


def plain_muon(weight: np.ndarray, gradients: list[np.ndarray], **s: Any) -> np.ndarray:
    weight, momentum = weight.astype(np.float64), np.zeros(weight.shape)
    for gradient in gradients:
        momentum = s["momentum"] * momentum + gradient
        update = gradient + s["momentum"] * momentum if s["nesterov"] else momentum
        if s["normalize"]:
            weight = weight * np.sqrt(len(weight)) / np.sqrt((weight**2).sum())
        weight = weight * (1 - s["lr"] * s["weight_decay"])
        flat = quintic(update.reshape(len(update), -1), s["steps"])
        weight = weight - s["lr"] * np.sqrt(max(1, flat.shape[0] / flat.shape[1])) * flat.reshape(weight.shape)
    return weight


@pytest.mark.parametrize("shape", [(4, 2, 3, 3), (30, 2, 3, 3), (6, 9), (9, 6)])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_steps_equal_numpys(shape: tuple[int, ...], nesterov: bool, normalize: bool) -> None:
    draws = np.random.default_rng(0)
    first, gradients = draws.normal(size=shape), [draws.normal(size=shape) for _ in range(4)]
    weight = nn.Parameter(torch.tensor(first, dtype=torch.float32))
    if len(shape) == 4:  # as the loop has it: filters laid out channels_last, and so are their gradients
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    decay = 0.0 if normalize else 0.1
    settings = {"lr": 0.1, "momentum": 0.6, "nesterov": nesterov, "normalize_weights": normalize, "weight_decay": decay}
    last = nn.Parameter(torch.zeros(2, 2))
    optimizer = build_optimizer(
        muon(newton_schulz_steps=3, **settings), [("filters", weight), ("head", last)], kernel="plain"
    )
    for gradient in gradients:
        weight.grad = torch.empty_like(weight).copy_(torch.tensor(gradient))
        optimizer.step()
    expected = plain_muon(
        first, gradients, lr=0.1, momentum=0.6, nesterov=nesterov, normalize=normalize, weight_decay=decay, steps=3
    )
    assert np.allclose(weight.detach().numpy(), expected, atol=2e-5)
    assert last.grad is None and not last.any()


@pytest.mark.parametrize("shape", [(20, 20), (20, 60), (60, 20)])
def test_the_result_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    """U V' of the singular value decomposition, up to singular values between 0.7 and 1.2."""
    side = min(shape)
    values = np.linspace(0.2, 1, side)
    left, right = ortho_group.rvs(shape[0], random_state=0)[:, :side], ortho_group.rvs(shape[1], random_state=1)[:side]
    made = orthogonalized(torch.tensor((left * values) @ right, dtype=torch.float32), 5).double().numpy()
    inner = left.T @ made @ right.T
    assert np.allclose(inner, np.diag(np.diag(inner)), atol=1e-4)
    assert 0.65 < np.diag(inner).min() and np.diag(inner).max() < 1.25


def test_matrices_move_as_torchs_muon_moves_them() -> None:
    """torch.optim.Muon computes its products in bf16 and averages the momentum: the direction is the same."""
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.ones(24, 16)) for _ in range(2)]
    theirs = torch.optim.Muon([weights[0]], lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True, ns_steps=5)
    head = nn.Parameter(torch.zeros(1, 1))
    ours = build_optimizer(
        muon(lr=0.1, momentum=0.9, weight_decay=0.1), [("0", weights[1]), ("head", head)], kernel="plain"
    )
    for _ in range(5):
        gradient = torch.randn(24, 16)
        for weight, optimizer in zip(weights, (theirs, ours), strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    moved = [weight.detach() - 1 for weight in weights]
    assert moved[0].abs().mean() > 0.01
    torch.testing.assert_close(moved[0], moved[1], atol=0.02, rtol=0.02)


def test_the_rest_moves_as_torchs_sgd_moves_it() -> None:
    """Biases, the output layer and a group of its own, beside filters that are Muon's."""
    torch.manual_seed(0)
    net, plain = Net(), Net()
    plain.load_state_dict(net.state_dict())
    groups = [{"parameters": "conv.bias", "lr": 0.5, "weight_decay": 0.2}]
    ours = build_optimizer(
        muon(sgd_lr=0.1, sgd_momentum=0.8, sgd_weight_decay=0.01, groups=groups), net.named_parameters(), kernel="plain"
    )
    rest = [plain.hidden.bias, plain.head.weight, plain.head.bias]
    theirs = torch.optim.SGD(
        [{"params": rest}, {"params": [plain.conv.bias], "lr": 0.5, "weight_decay": 0.2}],
        lr=0.1,
        momentum=0.8,
        nesterov=True,
        weight_decay=0.01,
    )
    for step in range(3):
        torch.manual_seed(step)
        for parameter, other in zip(net.parameters(), plain.parameters(), strict=True):
            parameter.grad = torch.randn_like(parameter)
            other.grad = parameter.grad.clone()
        ours.step()
        theirs.step()
    for name in ("hidden.bias", "head.weight", "head.bias", "conv.bias"):
        torch.testing.assert_close(net.get_parameter(name), plain.get_parameter(name), atol=1e-6, rtol=1e-6)
    for name in ("conv.weight", "hidden.weight"):
        assert not torch.equal(net.get_parameter(name), plain.get_parameter(name))


def test_bf16_gives_nearly_the_same_direction() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(16, 48)
    exact, rough = orthogonalized(matrix, 3), orthogonalized(matrix, 3, torch.bfloat16).float()
    assert (exact - rough).norm() / exact.norm() < 0.05
