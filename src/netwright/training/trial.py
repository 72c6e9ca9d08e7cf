"""The trial: threads, memory format and optimizer kernel by short contests on copies of the real network.

Each setting that was left open meets its alternatives one after the other, the winner going on; at most 5 % of the
expected run is spent. What the rounds do not agree on stays as it was: never slower than the plain choice by more than
the trial itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import torch
from torch import nn

from netwright.config.sections import Runtime
from netwright.data.batches import Batch
from netwright.runtime.machine import Machine, in_memory_format, memory_format_name
from netwright.runtime.randomness import seed_step
from netwright.training.contest import LEAST_ROUNDS, Clock, Contest, Step, hold_contest
from netwright.training.optimizer import Kernel, kernels
from netwright.training.plan import Plan
from netwright.training.rehearsal import Rehearsal, stepper
from netwright.training.state import TrainingState

MOST_OF_RUN = 0.05
LEAST_EXPECTED_SECONDS = 10.0  # shorter runs keep the plain choice: there is less to win than to explain
LEAST_STEPS = 4 + 2 * LEAST_ROUNDS  # of the shortest contest
COPIED_BYTES = 2**28  # of bigger networks no second copy is made: freed memory stays with the process


@dataclass(frozen=True)
class Choice:
    """What a trial decides on; the rest of the machine is given."""

    threads: int
    memory_format: str
    kernel: Kernel
    cuda_graphs: bool = False

    def on(self, machine: Machine) -> Machine:
        """Return the machine with this choice's threads and memory format."""
        return replace(in_memory_format(machine, self.memory_format), threads=self.threads)


@dataclass(frozen=True)
class Heat:
    """One contest of a trial: a setting's standing value against another."""

    setting: str
    plain: str
    other: str
    contest: Contest

    def to_mapping(self) -> dict[str, Any]:
        """Return what environment.json keeps: medians can be made again from the seconds a step of every round."""
        return {
            "setting": self.setting,
            "plain": self.plain,
            "other": self.other,
            "gain": round(self.contest.gain, 3),
            "verdict": self.contest.verdict,
            "plain_step_seconds": [float(f"{seconds:.4g}") for seconds in self.contest.plain],
            "other_step_seconds": [float(f"{seconds:.4g}") for seconds in self.contest.other],
        }


@dataclass(frozen=True)
class Trial:
    """The choice, the contests it rests on and what they took."""

    choice: Choice
    heats: tuple[Heat, ...] = ()
    seconds: float = 0.0
    budget_seconds: float = field(default=0.0)

    @property
    def gain(self) -> float:
        """How many times quicker a step is than with the plain choice."""
        gain = 1.0
        for heat in self.heats:
            gain *= heat.contest.gain if heat.contest.verdict == "other" else 1.0
        return gain


def plain_choice(plan: Plan, model: nn.Module, asked: Runtime, kernel: Kernel) -> Choice:
    """Return what is chosen without a trial: what the machine says, contiguous where nothing is convolved."""
    layout: str = memory_format_name(plan.machine.memory_format)
    if asked.memory_format == "auto" and not has_convolutions(model):
        layout = "contiguous"
    return Choice(plan.machine.threads, layout, kernel, plan.recipe.runtime.cuda_graphs is True)


def has_convolutions(model: nn.Module) -> bool:
    """Say whether a parameter has four dimensions, so that the memory format matters."""
    return any(parameter.dim() == 4 for parameter in model.parameters())


def alternatives(choice: Choice, asked: Runtime, plan: Plan, model: nn.Module) -> Iterator[tuple[str, list[Choice]]]:
    """Yield each setting that was left open with its other values, the one that can cost most first."""
    device = plan.machine.device
    if asked.threads == "auto" and device.type == "cpu" and choice.threads > 1:
        half = [choice.threads // 2] if choice.threads >= 4 else []  # one of each pair of hyper-threads
        yield "threads", [replace(choice, threads=threads) for threads in (1, *half)]
    if sum(parameter.numel() * parameter.element_size() for parameter in model.parameters()) > COPIED_BYTES:
        return
    if asked.memory_format == "auto" and has_convolutions(model):
        others = {"contiguous", "channels_last"} - {choice.memory_format}
        yield "memory_format", [replace(choice, memory_format=name) for name in others]
    if asked.optimizer_kernel == "auto":
        known = kernels(plan.recipe.optimizer, device)
        yield "kernel", [replace(choice, kernel=kernel) for kernel in known if kernel != choice.kernel]
    if asked.cuda_graphs == "auto" and choice.cuda_graphs:
        yield "cuda_graphs", [replace(choice, cuda_graphs=False)]


def hold_trial(
    state: TrainingState,
    plan: Plan,
    settings: list[tuple[str, list[Choice]]],
    plain: Choice,
    budget_seconds: float,
    clock: Clock = perf_counter,
) -> Trial:
    """Let the settings' alternatives compete with the plain choice, one after the other while the budget lasts.

    Weights, running statistics, optimizer and torch's random state of the run stay as they are, bit for bit."""
    started, threads = clock(), torch.get_num_threads()
    batches = [plan.train.batch(1, number) for number in range(min(2, plan.train.num_batches))]
    devices = [plan.machine.device] if plan.machine.device.type == "cuda" else []
    pairs = [(name, other) for name, others in settings for other in others]
    best, heats = plain, []
    try:
        with torch.random.fork_rng(devices=devices):
            seed_step(plan.recipe.training.seed, "trial", 0, 0)
            rehearsals: dict[_Key, Rehearsal] = {}
            for name, other in pairs:
                left = budget_seconds - (clock() - started)
                challenger = replace(best, **{name: getattr(other, name)})
                standing = _step(best, rehearsals, state, plan, batches)
                contest = hold_contest(standing, _step(challenger, rehearsals, state, plan, batches), left, clock)
                heats.append(Heat(name, str(getattr(best, name)), str(getattr(challenger, name)), contest))
                if contest.verdict == "unheard":  # the budget is spent
                    break
                best = challenger if contest.verdict == "other" else best
                rehearsals = {key: rehearsal for key, rehearsal in rehearsals.items() if key == _key(best)}
    finally:
        torch.set_num_threads(threads)
    return Trial(best, tuple(heats), clock() - started, budget_seconds)


_Key = tuple[str, Kernel, bool]


def _key(choice: Choice) -> _Key:
    return choice.memory_format, choice.kernel, choice.cuda_graphs


def _step(
    choice: Choice,
    rehearsals: dict[_Key, Rehearsal],
    state: TrainingState,
    plan: Plan,
    batches: list[Batch],
) -> Step:
    machine, key = choice.on(plan.machine), _key(choice)
    if key not in rehearsals:
        graphed = choice.cuda_graphs
        rehearsals[key] = Rehearsal(state.model, plan, machine.memory_format, choice.kernel, graphed=graphed)
        rehearsals[key].warm_up(batches, machine)
    return stepper(rehearsals[key], batches, machine)
