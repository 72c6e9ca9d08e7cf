"""Optimizers by name: torch's own, with torch's own arguments, over what can be trained."""

import pytest
import torch
from torch import nn

from netwright.config.optimization import OPTIMIZERS, Optimizer
from netwright.errors import RecipeError
from netwright.training.optimizer import OPTIMIZER_CLASSES, build_optimizer, choose_kernel, kernels

CPU = torch.device("cpu")
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
    ours = build_optimizer(named(name, **arguments), [weights[0]], kernel="plain")
    assert type(ours) is kind
    assert torch.equal(steps(ours, weights[0]), steps(kind([weights[1]], **arguments), weights[1]))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_all_kernels_compute_the_same(name: str) -> None:
    optimizer = named(name, **REFERENCES[name][1])
    expected = steps(build_optimizer(optimizer, [weight := nn.Parameter(torch.zeros(5))], kernel="plain"), weight)
    for kernel in kernels(optimizer, CPU):
        made = build_optimizer(optimizer, [weight := nn.Parameter(torch.zeros(5))], kernel=kernel)
        assert bool(made.defaults.get("fused")) == (kernel == "fused")
        assert bool(made.defaults.get("foreach")) == (kernel == "foreach")
        torch.testing.assert_close(steps(made, weight), expected)


def test_auto_is_fused_where_torch_has_it_and_plain_in_exact_runs() -> None:
    chosen = {name: choose_kernel(named(name), CPU, "auto", exact=False) for name in REFERENCES}
    fused = {"sgd", "adam", "adamw", "adagrad"}
    assert chosen == {name: "fused" if name in fused else "plain" for name in REFERENCES}
    assert choose_kernel(named("adam"), CPU, "auto", exact=True) == "plain"
    assert choose_kernel(named("adam"), CPU, "foreach", exact=False) == "foreach"


def test_a_kernel_that_torch_does_not_have_is_refused() -> None:
    with pytest.raises(RecipeError, match="'fused' and rmsprop has none on cpu; known: plain, foreach"):
        choose_kernel(named("rmsprop"), CPU, "fused", exact=False)


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    optimizer = build_optimizer(named("adam"), model.parameters(), kernel="fused")
    given = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert [id(parameter) for parameter in given] == [id(parameter) for parameter in model[1].parameters()]


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(RecipeError, match="all are frozen; unfreeze"):
        build_optimizer(named("adam"), nn.Linear(2, 3).requires_grad_(False).parameters(), kernel="fused")


def test_an_own_optimizer_by_name_is_refused() -> None:
    with pytest.raises(RecipeError, match="only Python can give"):
        build_optimizer(named("custom"), nn.Linear(2, 3).parameters(), kernel="fused")
