"""Freezing, gradual unfreezing and an lr a stage against plain PyTorch with everything by hand, bit for bit."""

import copy
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netwright.config.recipe import build_recipe
from netwright.data.prepare import prepare
from netwright.data.sources import open_data
from netwright.data.splits import split_rows
from netwright.errors import RecipeError
from netwright.models.stages import stages_of
from netwright.runtime.machine import applied, choose_machine
from netwright.tasks.classification import build_task
from netwright.training.fit import fit
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.build import build_plan, build_state, resolve
from netwright.workflows.own import Own

EPOCHS, FACTOR, LR = 4, 0.3, 0.01
STAGES = ("features.0", "features.4", "head")


def network() -> nn.Sequential:
    """Two stages with batch norm and dropout, and a head."""
    torch.manual_seed(1)
    features = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
    )
    return nn.Sequential(OrderedDict(features=features, flatten=nn.Flatten(), head=nn.Linear(128, 10)))


class Listener:
    """Keeps what the loop had at the end of every epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, Tensor]] = []

    def step(self, done: int, total: int, num_samples: int) -> None:
        pass

    def epoch(self, record: dict[str, Any], model: nn.Module) -> None:
        self.epochs.append(copy.deepcopy(dict(model.state_dict())))

    def stop_requested(self) -> bool:
        return False


def made(training: dict[str, Any], **settings: Any) -> tuple[TrainingState, Plan]:
    recipe = build_recipe(
        {
            "data": {"source": "digits"},
            "model": {"name": "custom"},
            "optimizer": {"name": "adam", "lr": LR},
            "training": {"epochs": EPOCHS, "batch_size": 300, **training},
            "runtime": {"exact": True, "device": "cpu", "threads": 1},
            **settings,
        }
    )
    labelled, own = open_data(recipe.data), Own(model=network())
    prepared = prepare(labelled, split_rows(labelled, recipe.split), recipe)
    task, machine = build_task(recipe.criterion, labelled.class_names), choose_machine(recipe.runtime)
    recipe = resolve(recipe, prepared, machine)
    return build_state(recipe, prepared, task, machine, own), build_plan(None, recipe, prepared, task, machine, own)


def parts(plain: nn.Sequential) -> list[list[nn.Module]]:
    """The stages' modules by hand, from the input to the head."""
    features = plain.get_submodule("features")
    return [list(features.children())[:4], list(features.children())[4:], [plain.get_submodule("head")]]


def parameters(modules: list[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def plain_epochs(begins: list[int], factor: float, plan: Plan) -> list[dict[str, Tensor]]:
    """Train by hand: stages that join the optimizer when their epoch comes, and are in eval mode before it."""
    plain = network()
    optimizer = torch.optim.Adam(parameters(parts(plain)[2]), lr=LR)
    seen = []
    for epoch in range(1, EPOCHS + 1):
        plain.train()
        for place, modules in enumerate(parts(plain)):
            frozen = begins[place] > epoch
            for module in modules:
                module.train(not frozen).requires_grad_(not frozen)
            joins = place < 2 and begins[place] == epoch
            if joins:
                optimizer.add_param_group({"params": parameters(modules), "lr": LR * factor ** (2 - place)})
        for batch in (plan.train.batch(epoch, number) for number in range(plan.train.num_batches)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(plain(batch.images.contiguous()), batch.targets).backward()
            optimizer.step()
        seen.append(copy.deepcopy(dict(plain.state_dict())))
    return seen


def assert_same(ours: list[dict[str, Tensor]], theirs: list[dict[str, Tensor]]) -> None:
    assert len(ours) == len(theirs) == EPOCHS
    for epoch, (one, other) in enumerate(zip(ours, theirs, strict=True), start=1):
        for name in other:
            assert torch.equal(one[name], other[name]), (epoch, name)


NEVER = EPOCHS + 1
FREEZING = [
    ({"freeze": "backbone"}, [NEVER, NEVER, 1]),
    ({"freeze": "features.0"}, [NEVER, 1, 1]),
    ({"freeze": "backbone", "unfreeze": {"features.4": 3}}, [NEVER, 3, 1]),
    ({"freeze": "backbone", "unfreeze": {"4": 2, "0": 4}}, [4, 2, 1]),
    ({"freeze": "backbone", "unfreeze": 1}, [3, 2, 1]),
]


@pytest.fixture(autouse=True)
def without_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout without draws, which still tells train mode from eval mode."""
    monkeypatch.setattr(nn.functional, "dropout", lambda images, p, training, inplace: images * (1 - p * training))


@pytest.mark.parametrize(("training", "begins"), FREEZING)
@pytest.mark.parametrize("factor", [1.0, FACTOR])
def test_epochs_equal_plain_pytorch(training: dict[str, Any], begins: list[int], factor: float) -> None:
    state, plan = made(training, optimizer={"name": "adam", "lr": LR, "stage_lr_factor": factor})
    listener = Listener()
    with applied(plan.machine):
        fit(state, plan, listener)
        assert_same(listener.epochs, plain_epochs(begins, factor, plan))


def test_lr_of_every_stage_without_freezing() -> None:
    state, plan = made({}, optimizer={"name": "adam", "lr": LR, "stage_lr_factor": FACTOR})
    listener = Listener()
    with applied(plan.machine):
        fit(state, plan, listener)
        assert_same(listener.epochs, plain_epochs([1, 1, 1], FACTOR, plan))


def test_what_is_never_trained_is_not_in_the_optimizer() -> None:
    state, _ = made({"freeze": "backbone"})
    held = [id(parameter) for group in state.optimizer.param_groups for parameter in group["params"]]
    assert held == [id(parameter) for parameter in state.model.get_submodule("head").parameters()]


def test_schedule_moves_the_lr_of_every_stage() -> None:
    state, plan = made(
        {"freeze": "backbone", "unfreeze": 1},
        optimizer={"name": "sgd", "lr": LR, "stage_lr_factor": FACTOR},
        lr_scheduler={"name": "step", "every_epochs": 1, "gamma": 0.5},
    )
    with applied(plan.machine):
        fit(state, plan, Listener())
    rates = [group["lr"] for group in state.optimizer.param_groups]
    assert rates == [pytest.approx(LR * FACTOR**depth * 0.5 ** (EPOCHS - 1)) for depth in range(3)]


def test_stages_are_in_order_and_hold_every_parameter_once() -> None:
    stages = stages_of(network())
    assert tuple(stage.name for stage in stages) == STAGES
    for name, _ in network().named_parameters():
        assert sum(stage.holds(name) for stage in stages) == 1


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (
            {"freeze": "featres.4"},
            r"freeze` names 'featres.4' \(did you mean \"features.4\"\?\).*features.0, features.4",
        ),
        ({"freeze": "head"}, "names the head"),
        ({"freeze": "backbone", "unfreeze": {"layer9": 2}}, r"training.unfreeze` names 'layer9'.*in order: features.0"),
    ],
)
def test_names_of_no_stage_are_explained(training: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        made(training)
