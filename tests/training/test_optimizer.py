"""Optimizers by name: torch's own, with torch's own arguments, over what can be trained."""

import pytest
import torch
from torch import nn

from netwright.config.optimization import OPTIMIZERS, Optimizer
from netwright.errors import RecipeError
from netwright.training.optimizer import OPTIMIZER_CLASSES, build_optimizer

REFERENCES = {
    "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": (torch.optim.Adam, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 0.01}),
    "adamw": (torch.optim.AdamW, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 0.1}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.01}),
    "adadelta": (torch.optim.Adadelta, {"lr": 0.1, "rho": 0.8, "weight_decay": 0.01}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.1, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.01}),
}


def named(name: str, **arguments: object) -> Optimizer:
    made = OPTIMIZERS.convert({"name": name, **arguments}, "optimizer")
    assert isinstance(made, Optimizer)
    return made


def steps(optimizer: torch.optim.Optimizer, weight: nn.Parameter) -> torch.Tensor:
    target = torch.linspace(-1, 1, weight.numel())
    for _ in range(5):
        optimizer.zero_grad()
        (weight - target).square().sum().backward()
        optimizer.step()
    return weight.detach()


def test_every_declared_optimizer_is_here() -> None:
    assert set(REFERENCES) == set(OPTIMIZERS.parts) - {"custom"}
    assert len(OPTIMIZER_CLASSES) == len(REFERENCES)


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_arguments_are_torchs_own(name: str) -> None:
    kind, arguments = REFERENCES[name]
    weights = [nn.Parameter(torch.zeros(5)) for _ in range(2)]
    ours = build_optimizer(named(name, **arguments), [weights[0]], fused=False)
    assert type(ours) is kind
    assert torch.equal(steps(ours, weights[0]), steps(kind([weights[1]], **arguments), weights[1]))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_the_fused_kernels_compute_the_same(name: str) -> None:
    arguments = REFERENCES[name][1]
    weights = [nn.Parameter(torch.zeros(5)) for _ in range(2)]
    made = [build_optimizer(named(name, **arguments), [weights[k]], fused=bool(k)) for k in range(2)]
    assert not made[0].defaults.get("fused")
    torch.testing.assert_close(steps(made[0], weights[0]), steps(made[1], weights[1]))


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    optimizer = build_optimizer(named("adam"), model.parameters(), fused=True)
    given = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert [id(parameter) for parameter in given] == [id(parameter) for parameter in model[1].parameters()]


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(RecipeError, match="all are frozen; unfreeze"):
        build_optimizer(named("adam"), nn.Linear(2, 3).requires_grad_(False).parameters(), fused=True)


def test_an_own_optimizer_by_name_is_refused() -> None:
    with pytest.raises(RecipeError, match="only Python can give"):
        build_optimizer(named("custom"), nn.Linear(2, 3).parameters(), fused=True)
