"""The range test: an ordinary training whose lr grows, and what its curve suggests."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netwright.config.recipe import build_recipe
from netwright.data.prepare import prepare
from netwright.data.sources import open_data
from netwright.data.splits import split_rows
from netwright.runtime.machine import choose_machine
from netwright.tasks.classification import build_task
from netwright.training.lr_range import RangeTest, followers, moving_average, run_range_test, smooth, suggest
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.build import build_plan, build_state, resolve
from netwright.workflows.own import Own

EXACT = {"exact": True, "device": "cpu", "threads": 1}


def made(**settings: Any) -> tuple[TrainingState, Plan]:
    recipe = build_recipe({"data": {"source": "digits"}, "model": "linear", "runtime": EXACT, **settings})
    labelled = open_data(recipe.data)
    prepared = prepare(labelled, split_rows(labelled, recipe.split), recipe)
    task, machine = build_task(recipe.criterion, labelled.class_names), choose_machine(recipe.runtime)
    recipe = resolve(recipe, prepared, machine)
    state = build_state(recipe, prepared, task, machine, Own())
    return state, build_plan(None, recipe, prepared, task, machine, Own())


@pytest.mark.parametrize("scheduler", ["constant", "one_cycle"])
def test_losses_are_those_of_a_plain_loop_at_these_rates(scheduler: str) -> None:
    """More steps than an epoch has; the recipe's schedule, patience and end play no part."""
    training = {"batch_size": 300, "epochs": 1}
    optimizer = {"name": "sgd", "lr": 0.01, "momentum": 0.9}
    state, plan = made(optimizer=optimizer, training=training, lr_scheduler=scheduler)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    plain[1].load_state_dict({key.split(".")[-1]: value for key, value in state.model.state_dict().items()})
    num_steps = 11
    assert plan.train.num_batches < num_steps
    rates = np.geomspace(1e-4, 1.0, num_steps)
    by_torch = torch.optim.SGD(plain.parameters(), lr=1.0, momentum=0.9, foreach=False)
    losses = []
    batches = [batch for epoch in (1, 2, 3) for batch in plan.train.epoch(epoch)]
    for rate, batch in zip(rates, batches, strict=False):
        by_torch.param_groups[0]["lr"] = rate
        by_torch.zero_grad()
        loss = nn.functional.cross_entropy(plain(batch.images), batch.targets)
        losses.append(loss.item())
        loss.backward()
        by_torch.step()
    test = run_range_test(state, plan, 1e-4, 1.0, num_steps)
    np.testing.assert_allclose(test.lrs, rates, rtol=1e-12)
    np.testing.assert_allclose(test.losses, losses, rtol=1e-5)
    assert not test.diverged


@pytest.mark.parametrize("accumulation", [1, 3])
def test_it_ends_where_the_loss_has_left(accumulation: int) -> None:
    training = {"batch_size": 50, "accumulation_steps": accumulation}
    state, plan = made(optimizer={"name": "sgd", "lr": 0.1}, training=training)
    test = run_range_test(state, plan, 1e-3, 1e6, 60)
    assert test.diverged
    assert FEWEST <= len(test.losses) == len(test.lrs) < 60
    assert suggest(test).steepest is not None


FEWEST = 10


def test_a_loss_that_is_not_finite_ends_it() -> None:
    state, plan = made(optimizer={"name": "sgd", "lr": 0.1})
    test = run_range_test(state, plan, 1e37, 1e38, 20)
    assert test.diverged
    assert not math.isfinite(test.losses[-1]) or len(test.losses) < 20
    assert np.isfinite(test.smoothed).all()


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ({"name": "adam", "lr": 0.02}, [1.0]),
        ({"name": "adam", "lr": 0.02, "groups": [{"parameters": "*.bias", "lr": 0.5}]}, [1.0, None]),
        ({"name": "adam", "lr": 0.02, "groups": [{"parameters": "*.bias", "weight_decay": 0.5}]}, [1.0, 1.0]),
        ({"name": "muon", "lr": 0.02, "sgd_lr": 0.1}, [1.0, None]),
    ],
)
def test_only_what_follows_the_optimizers_lr_is_varied(optimizer: Any, expected: list[float | None]) -> None:
    state, plan = made(model={"name": "mlp", "hidden_sizes": [8]}, optimizer=optimizer)
    assert followers(state, plan) == expected
    own = [group["lr"] for group in state.optimizer.param_groups]
    run_range_test(state, plan, 1e-5, 1e-2, 12)
    for group, before, factor in zip(state.optimizer.param_groups, own, expected, strict=True):
        assert group["lr"] == pytest.approx(before if factor is None else 1e-2)


def curve(losses: Sequence[float]) -> RangeTest:
    return RangeTest(tuple(np.geomspace(1e-6, 1.0, len(losses))), tuple(losses), False)


def test_suggestions_of_a_known_curve() -> None:
    """A fall whose steepest place is at 1e-3, a minimum at 1e-1.5, then an explosion."""
    places = np.linspace(-6, 0, 121)
    losses = 2.3 - 2 / (1 + np.exp(-4 * (places + 3))) + np.where(places > -1.5, 40 * (places + 1.5) ** 2, 0)
    found = suggest(curve([float(loss) for loss in losses]))
    assert found.steepest == pytest.approx(1e-3, rel=0.13)  # one step is a factor of 1.12
    assert found.tenth is not None and 10**-3.2 < found.tenth < 10**-2.4  # smoothing moves the corner at the minimum
    assert found.valley is not None and 1e-6 < found.valley < 0.1
    noisy = losses + 0.05 * np.random.default_rng(0).normal(size=121)
    steepest = suggest(curve([float(loss) for loss in noisy])).steepest
    assert steepest is not None and 3e-4 < steepest < 3e-3


def test_nothing_is_suggested_where_the_loss_never_fell() -> None:
    assert suggest(curve(list(np.linspace(2, 5, 50)))).steepest is None
    assert suggest(curve([2.0, 1.0, 0.5])).steepest is None
    assert suggest(curve([math.inf] * 12)).steepest is None


def test_noise_alone_suggests_nothing() -> None:
    found = 0
    for seed in range(50):
        losses = 2.4 + 0.15 * np.random.default_rng(seed).normal(size=100)
        losses[80:] += np.linspace(0, 8, 20)
        found += suggest(curve([float(loss) for loss in losses])).steepest is not None
    assert found <= 2


def test_noise_before_the_fall_is_not_the_steepest_place() -> None:
    places = np.linspace(-6, 0, 101)
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=101)
        losses = 2.4 - 1.2 / (1 + np.exp(-3 * (places + 2.5))) + 0.12 * noise
        steepest = suggest(curve([float(loss) for loss in losses])).steepest
        assert steepest is not None and 10**-3.6 < steepest < 10**-1.4


def test_smoothing_has_no_lag_and_keeps_a_line() -> None:
    line = np.linspace(3, 1, 60)
    assert np.allclose(smooth(line, 3.0)[20:-20], line[20:-20])
    assert smooth([*[2.0] * 30, math.inf, 1e9], 3.0)[:15] == pytest.approx(2.0)


def test_valley_is_the_rule_of_the_longest_falling_subsequence() -> None:
    """By trying all subsequences of a short curve."""
    losses = [3.0, 2.9, 2.95, 2.7, 2.5, 2.52, 2.2, 2.0, 1.7, 1.4, 1.45, 1.2, 2.9]
    averages = moving_average(losses)
    best: tuple[int, int] = (0, 0)  # length, the place of its last
    for mask in range(1, 2 ** len(losses)):
        chosen = [place for place in range(len(losses)) if mask >> place & 1]
        values = averages[chosen]
        if (np.diff(values) < 0).all() and (len(chosen), -chosen[-1]) > (best[0], -best[1]):
            best = (len(chosen), chosen[-1])
    first = max(best[1] - best[0], 0)
    section = (best[1] - first) / 3
    expected = curve(losses).lrs[first + int(section) + int(section / 2)]
    assert suggest(curve(losses)).valley == expected
