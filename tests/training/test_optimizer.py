"""Optimizers by name: torch's own, with torch's own arguments, over what can be trained."""

import copy

import pytest
import torch
from torch import nn

from netwright.config.optimization import OPTIMIZERS, Optimizer
from netwright.errors import RecipeError
from netwright.training.optimizer import OPTIMIZER_CLASSES, Kernel, build_optimizer, choose_kernel, kernels

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
    assert set(REFERENCES) == set(OPTIMIZERS.parts) - {"custom", "muon"}  # muon: test_muon.py
    assert len(OPTIMIZER_CLASSES) == len(REFERENCES) + 1


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_arguments_are_torchs_own(name: str) -> None:
    kind, arguments = REFERENCES[name]
    weights = [nn.Parameter(torch.zeros(5)) for _ in range(2)]
    ours = build_optimizer(named(name, **arguments), [("weight", weights[0])], kernel="plain")
    assert type(ours) is kind
    assert torch.equal(steps(ours, weights[0]), steps(kind([weights[1]], **arguments), weights[1]))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_all_kernels_compute_the_same(name: str) -> None:
    optimizer = named(name, **REFERENCES[name][1])
    expected = steps(
        build_optimizer(optimizer, [("weight", weight := nn.Parameter(torch.zeros(5)))], kernel="plain"), weight
    )
    for kernel in kernels(optimizer, CPU):
        made = build_optimizer(optimizer, [("weight", weight := nn.Parameter(torch.zeros(5)))], kernel=kernel)
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
    optimizer = build_optimizer(named("adam"), model.named_parameters(), kernel="fused")
    given = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert [id(parameter) for parameter in given] == [id(parameter) for parameter in model[1].parameters()]


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(RecipeError, match="all are frozen; unfreeze"):
        build_optimizer(named("adam"), nn.Linear(2, 3).requires_grad_(False).named_parameters(), kernel="fused")


def test_an_own_optimizer_by_name_is_refused() -> None:
    with pytest.raises(RecipeError, match="only Python can give"):
        build_optimizer(named("custom"), nn.Linear(2, 3).named_parameters(), kernel="fused")


def test_groups_differ_as_torchs_own_do() -> None:
    """By name, the first that fits, against torch's groups written out."""
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    groups = [{"parameters": "0.bias", "lr": 0.5}, {"parameters": "*.bias", "weight_decay": 0.3}]
    ours = build_optimizer(
        named("sgd", lr=0.1, momentum=0.9, groups=groups), models[0].named_parameters(), kernel="plain"
    )
    first, _, last = models[1]
    theirs = torch.optim.SGD(
        [
            {"params": [first.weight, last.weight]},
            {"params": [first.bias], "lr": 0.5},
            {"params": [last.bias], "weight_decay": 0.3},
        ],
        lr=0.1,
        momentum=0.9,
    )
    for model, optimizer in zip(models, (ours, theirs), strict=True):
        for step in range(3):
            optimizer.zero_grad()
            model(torch.full((2, 3), 0.1 * step)).square().sum().backward()
            optimizer.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_group_without_parameters_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"groups\[0\].parameters` is 'haed.\*'.*there are: weight, bias"):
        build_optimizer(
            named("adam", groups=[{"parameters": "haed.*"}]), nn.Linear(2, 3).named_parameters(), kernel="plain"
        )


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_without_the_compiler_the_updates_are_torchs_own_bit_for_bit(name: str) -> None:
    kind, arguments = REFERENCES[name]
    for kernel in kernels(named(name), CPU):
        how = {"fused": True} if kernel == "fused" else {"foreach": kernel == "foreach"}
        weights = [nn.Parameter(torch.linspace(-2, 2, 300)) for _ in range(2)]
        theirs = steps(kind([weights[0]], **arguments, **how), weights[0])
        ours = build_optimizer(named(name, **arguments), [("weight", weights[1])], kernel=kernel)
        assert torch.equal(steps(ours, weights[1]), theirs)
        assert not weights[1].grad_fn and torch.is_grad_enabled()


@pytest.mark.parametrize("kernel", ["fused", "plain"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_quick_adam_is_torchs_bit_for_bit_whatever_happens_between_steps(
    name: str, weight_decay: float, kernel: Kernel
) -> None:
    kind, arguments = REFERENCES[name]
    arguments = arguments | {"weight_decay": weight_decay}
    shapes = [(500, 300), (5,), (2, 5), (2,)]
    torch.manual_seed(0)
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in shapes] for _ in range(2))
    quick = build_optimizer(
        named(name, **arguments), [(str(place), weight) for place, weight in enumerate(ours)], kernel=kernel
    )
    plain = kind(theirs, **arguments, **({"fused": True} if kernel == "fused" else {"foreach": False}))
    for step in range(16):
        for place, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            absent = place == 1 and step in (4, 5)  # frozen for two steps
            other.grad = None if absent else torch.randn(other.shape)
            mine.grad = None if absent else other.grad.clone()  # type: ignore[union-attr]
        if step == 7:  # a schedule
            quick.param_groups[0]["lr"] = plain.param_groups[0]["lr"] = 0.01
        if step == 9:  # a checkpoint's state
            quick.load_state_dict(copy.deepcopy(quick.state_dict()))
        quick.step()
        plain.step()
        assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True)), step
