"""The trial on a real small network: it chooses by the clock alone, within its budget, and leaves the run untouched."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netwright.config.recipe import build_recipe
from netwright.config.sections import Runtime
from netwright.data.arrays import assemble_arrays
from netwright.data.batches import Batch, Batches
from netwright.data.prepare import prepare
from netwright.runtime.machine import Machine, choose_machine
from netwright.tasks.classification import build_batch_loss, build_task
from netwright.training.optimizer import build_optimizer
from netwright.training.plan import Plan
from netwright.training.rehearsal import Rehearsal
from netwright.training.state import Sums, TrainingState
from netwright.training.trial import Choice, Trial, alternatives, hold_trial, plain_choice

Cost = Callable[[int, bool, bool], float]  # threads, channels_last?, fused? -> seconds a step
OPEN = Runtime(device="cpu", precision="fp32")
PLAIN = Choice(2, "channels_last", "fused")


@pytest.fixture
def training() -> tuple[TrainingState, Plan]:
    """Batch norm, dropout and Adam after two real steps, as two threads of a CPU train them."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    targets = np.arange(40) % 4
    labelled = assemble_arrays("noise", {"train": (pixels, targets)}, ("a", "b", "c", "d"), None, [])
    recipe = build_recipe({"training": {"batch_size": 16}, "split": {"val": 0}})
    prepared = prepare(labelled, {"train": np.arange(40)}, recipe)
    machine = choose_machine(Runtime(device="cpu", precision="fp32", threads=2))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 4))
    model = model.to(memory_format=torch.channels_last)
    task = build_task(recipe.criterion, labelled.class_names)
    train = Batches(prepared, "train", batch_size=16, device=machine.device, shuffle=True)
    plan = Plan(recipe, machine, task, build_batch_loss(recipe.criterion, torch.ones(4), machine.device, None), train)
    state = TrainingState(
        model, build_optimizer(recipe.optimizer, model.named_parameters(), kernel="fused"), Sums(task.num_correct)
    )
    for number in range(2):
        batch = train.batch(1, number)
        plan.batch_loss(model(batch.images), batch.targets)[0].backward()
        state.optimizer.step()
        state.optimizer.zero_grad()
    return state, plan


class Stage:
    """Time as the test wants it: a real step of a copy takes what `cost` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cost: Cost) -> None:
        self.now, self.steps = 0.0, 0
        plain = Rehearsal.step

        def step(rehearsal: Rehearsal, batch: Batch, machine: Machine) -> None:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # beside other processes a real step with two can take 50 times as long
            plain(rehearsal, batch, machine)
            torch.set_num_threads(threads)
            self.steps += 1
            fused = bool(rehearsal._optimizer.defaults.get("fused"))
            self.now += cost(threads, machine.memory_format is torch.channels_last, fused)

        monkeypatch.setattr(Rehearsal, "step", step)

    def __call__(self) -> float:
        return self.now


def everything(state: TrainingState) -> list[Tensor]:
    """All bits of a run that a trial could touch: weights, statistics, moments, random state, gradients."""
    moments = [value for entry in state.optimizer.state.values() for value in entry.values()]
    assert all(parameter.grad is None for parameter in state.model.parameters())
    return copy.deepcopy([*state.model.state_dict().values(), *moments, torch.get_rng_state()])


def trial(training: tuple[TrainingState, Plan], stage: Stage, asked: Runtime = OPEN, budget: float = 9.0) -> Trial:
    state, plan = training
    plain = plain_choice(plan, state.model, asked, "fused")
    return hold_trial(state, plan, list(alternatives(plain, asked, plan, state.model)), plain, budget, stage)


def test_the_quickest_of_all_settings_is_found(training, monkeypatch) -> None:
    """Contiguous, one thread and no fused kernel are each quicker, though no contest sees all three at once."""
    stage = Stage(
        monkeypatch, lambda threads, last, fused: 0.01 * threads * (1.5 if last else 1) * (1.2 if fused else 1)
    )
    found = trial(training, stage)
    assert found.choice.threads == 1 and found.choice.memory_format == "contiguous"
    assert found.choice.kernel == "foreach"  # the first of two that are equally quick
    assert found.gain == pytest.approx(2 * 1.5 * 1.2)
    assert [heat.contest.verdict for heat in found.heats] == ["other", "other", "other", "plain"]


def test_where_the_plain_choice_is_best_it_stays(training, monkeypatch) -> None:
    stage = Stage(
        monkeypatch, lambda threads, last, fused: 0.02 / threads * (1 if last else 1.3) * (1 if fused else 1.1)
    )
    found = trial(training, stage)
    assert found.choice == PLAIN and found.gain == 1.0 and len(found.heats) == 4


def test_on_a_noisy_clock_the_plain_choice_stays(training, monkeypatch) -> None:
    noise = np.random.default_rng(1)
    found = trial(training, Stage(monkeypatch, lambda *_: 0.02 * float(np.exp(noise.normal(0, 1)))))
    assert found.choice == PLAIN


def test_what_was_asked_for_is_not_tried(training, monkeypatch) -> None:
    asked = Runtime(device="cpu", precision="fp32", threads=2, memory_format="channels_last", optimizer_kernel="fused")
    stage = Stage(monkeypatch, lambda *_: 0.01)
    assert trial(training, stage, asked).choice == PLAIN and stage.steps == 0
    one_open = Runtime(device="cpu", threads=2, memory_format="channels_last")
    assert {heat.setting for heat in trial(training, stage, one_open).heats} == {"kernel"}


@pytest.mark.parametrize("budget", [0.05, 0.4, 1.3])
@pytest.mark.parametrize("seconds", [0.002, 0.03, 0.3])
def test_no_more_than_the_budget_is_spent(training, monkeypatch, seconds: float, budget: float) -> None:
    stage = Stage(monkeypatch, lambda *_: seconds)
    found = trial(training, stage, budget=budget)
    # the first step alone can't be known before; of each later contest it may go over by the step that finds out
    assert found.seconds <= max(seconds, budget + seconds) and found.choice == PLAIN


def test_a_trial_leaves_the_run_untouched_bit_for_bit(training, monkeypatch) -> None:
    state, _ = training
    before, threads = everything(state), torch.get_num_threads()
    training_mode, layout = state.model.training, state.model[0].weight.stride()
    stage = Stage(monkeypatch, lambda threads, last, fused: 0.01 * threads)
    assert trial(training, stage).heats and stage.steps > 20
    after = everything(state)
    assert len(before) == len(after) and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert torch.get_num_threads() == threads
    assert (state.model.training, state.model[0].weight.stride()) == (training_mode, layout)


def test_a_network_without_convolutions_has_no_memory_format_to_try(training) -> None:
    state, plan = training
    state.model = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    plain = plain_choice(plan, state.model, OPEN, "fused")
    assert plain.memory_format == "contiguous"
    assert [name for name, _ in alternatives(plain, OPEN, plan, state.model)] == ["threads", "kernel"]


def test_of_a_big_network_no_second_copy_is_made(training, monkeypatch) -> None:
    monkeypatch.setattr("netwright.training.trial.COPIED_BYTES", 100)
    state, plan = training
    assert [name for name, _ in alternatives(PLAIN, OPEN, plan, state.model)] == ["threads"]
