"""What the recipe left open about the machine, settled before the first step: remembered, tried out or plain."""

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import msgspec
import torch

from netwright.config.sections import Runtime
from netwright.runtime.load import machine_is_busy
from netwright.runtime.machine import memory_format_name, resolved
from netwright.training.contest import Clock
from netwright.training.estimate import estimate_seconds
from netwright.training.fine_tuning import build_staged_optimizer
from netwright.training.optimizer import Kernel
from netwright.training.plan import Plan
from netwright.training.remembered import kind_of_run, recall, remember
from netwright.training.state import TrainingState
from netwright.training.trial import (
    LEAST_EXPECTED_SECONDS,
    LEAST_STEPS,
    MOST_OF_RUN,
    Choice,
    Trial,
    alternatives,
    hold_trial,
    plain_choice,
)


@dataclass(frozen=True)
class Settled:
    """The plan with nothing left to choose, about how long the run will take, and how the choices were made."""

    plan: Plan
    expected_seconds: float | None
    trial: Trial | None = None
    remembered: bool = False
    crowded: bool = False  # too few steps for a trial on a machine that computes for others: one thread

    @property
    def clear(self) -> bool:
        """Say whether there was a trial and every contest of it had a clear end."""
        heats = self.trial.heats if self.trial is not None else ()
        return bool(heats) and all(heat.contest.verdict in ("other", "plain") for heat in heats)

    def to_mapping(self) -> dict[str, Any]:
        """Return what environment.json says of the trial; nothing when there was none."""
        if self.trial is None:
            if self.crowded:
                return {"trial": {"machine_is_busy": True}}
            return {"trial": {"remembered": True}} if self.remembered else {}
        heats = [heat.to_mapping() for heat in self.trial.heats]
        spent = {"seconds": round(self.trial.seconds, 4), "budget_seconds": round(self.trial.budget_seconds, 4)}
        return {"trial": {"remembered": self.remembered, **spent, "contests": heats}}

    def describe(self) -> str:
        """Return the summary's phrase: "contiguous (1.38 × channels_last); trial took 0.4 s"; nothing without one."""
        if self.trial is None:
            if self.crowded:
                return "1 thread: the machine is busy with something else"
            return "as an earlier run of this kind found best" if self.remembered else ""
        won = [heat for heat in self.trial.heats if heat.contest.verdict == "other"]
        names = [
            f"{_words(heat.setting, heat.other)} ({heat.contest.gain:.2f} × {_words(heat.setting, heat.plain)})"
            for heat in won
        ]
        noisy = any(heat.contest.verdict == "noisy" for heat in self.trial.heats)
        kept = "the plain choice stays" + (", the clock is noisy" if noisy else "")
        return f"{', '.join(names) or kept}; trial took {self.trial.seconds:.1f} s"


def settle(
    state: TrainingState, plan: Plan, asked: Runtime, *, estimate: bool = True, clock: Clock = perf_counter
) -> Settled:
    """Choose what `asked` left open, change `state` and torch's threads to it, and return the plan that says so.

    A run that has begun is left as it is. Nothing of the network changes but the layout of its weights in memory.
    `estimate` says whether someone wants to know how long the run will take."""
    left = plan.recipe.training.epochs - state.progress.epoch + 1
    if state.progress.step or state.progress.batch or state.history or left <= 0:
        return Settled(plan, _expected(state, plan, clock) if estimate and left > 0 else None)
    plain = plain_choice(plan, state.model, asked, _kernel(plan))
    plan = adopt(plain, state, plan)
    settings = list(alternatives(plain, asked, plan, state.model)) if asked.trial and not asked.exact else []
    if not settings:
        return Settled(plan, _expected(state, plan, clock) if estimate else None)
    kind = kind_of_run(plan, state.model, asked)
    known = recall(kind, plan)
    if known is None:
        settled = _try_out(state, plan, plain, settings, clock)
        if settled.clear and not (asked.threads == "auto" and machine_is_busy(plain.threads, clock)):
            remember(kind, _choice(settled.plan))
        return settled
    # threads follow the moment: what a quiet machine liked is tried again on a busy one
    threads = [(name, others) for name, others in settings if name == "threads"]
    if threads and machine_is_busy(plain.threads, clock):
        plain = replace(known, threads=plain.threads)
        return replace(_try_out(state, adopt(plain, state, plan), plain, threads, clock), remembered=True)
    plan = adopt(known, state, plan)
    return Settled(plan, _expected(state, plan, clock) if estimate else None, remembered=True)


def _try_out(
    state: TrainingState, plan: Plan, plain: Choice, settings: list[tuple[str, list[Choice]]], clock: Clock
) -> Settled:
    expected = _expected(state, plan, clock)
    steps = plan.train.num_batches * plan.recipe.training.epochs
    if expected is None or expected < LEAST_EXPECTED_SECONDS:
        return Settled(plan, expected)
    threads_are_open = any(name == "threads" for name, _ in settings)
    if MOST_OF_RUN * steps < LEAST_STEPS:
        if threads_are_open and machine_is_busy(plain.threads, clock):
            plan = adopt(replace(plain, threads=1), state, plan)
            return Settled(plan, _expected(state, plan, clock), crowded=True)
        return Settled(plan, expected)
    trial = hold_trial(state, plan, settings, plain, MOST_OF_RUN * expected, clock)
    return Settled(adopt(trial.choice, state, plan), expected / trial.gain, trial)


def _expected(state: TrainingState, plan: Plan, clock: Clock) -> float | None:
    return estimate_seconds(state, plan, _kernel(plan), clock)


def _kernel(plan: Plan) -> Kernel:
    kernel = plan.recipe.runtime.optimizer_kernel
    assert kernel != "auto"  # written out by `resolve`
    return kernel


def _choice(plan: Plan) -> Choice:
    layout, graphs = memory_format_name(plan.machine.memory_format), plan.recipe.runtime.cuda_graphs is True
    return Choice(plan.machine.threads, layout, _kernel(plan), graphs)


def adopt(choice: Choice, state: TrainingState, plan: Plan) -> Plan:
    """Lay the network out as chosen, build the optimizer anew where its kernel changes, set torch's threads."""
    machine = choice.on(plan.machine)
    torch.set_num_threads(machine.threads)
    state.model.to(memory_format=machine.memory_format)
    if choice.kernel != plan.recipe.runtime.optimizer_kernel:
        bf16 = machine.precision == "bf16"
        state.optimizer = build_staged_optimizer(plan.recipe.optimizer, state.model, kernel=choice.kernel, bf16=bf16)
    written = resolved(machine, plan.recipe.runtime)
    written = msgspec.structs.replace(written, optimizer_kernel=choice.kernel, cuda_graphs=choice.cuda_graphs)
    return replace(plan, machine=machine, recipe=plan.recipe.replace(runtime=written))


def _words(setting: str, value: str) -> str:
    if setting == "cuda_graphs":
        return "CUDA graphs" if value == "True" else "kernels launched one by one"
    if setting != "threads":
        return value
    return f"{value} thread{'' if value == '1' else 's'}"
