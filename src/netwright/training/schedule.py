"""Learning-rate schedules as pure functions, step -> factor of the optimizer's lr: nothing to store or restore."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from netwright.config.optimization import Constant, Cosine, LinearLr, LrScheduler, OneCycle, Plateau, StepDecay
from netwright.runs.history import Record, is_better


@dataclass(frozen=True)
class Position:
    """Where a run stands when it asks for a learning rate: before update number `step`, counted from 0."""

    step: int
    steps_per_epoch: int
    total_steps: int
    history: Sequence[Record] = field(default=())
    monitor: str = "val_loss"


def is_constant(scheduler: LrScheduler) -> bool:
    """Say whether every update has the optimizer's own lr."""
    return isinstance(scheduler, Constant) and scheduler.warmup_steps == 0


def lr_factor(scheduler: LrScheduler, position: Position) -> float:
    """Return what the optimizer's lr is multiplied by for the update at this position."""
    if position.step < scheduler.warmup_steps:
        return (position.step + 1) / scheduler.warmup_steps
    return FACTORS[type(scheduler)](scheduler, position)


def _step_decay(scheduler: StepDecay, position: Position) -> float:
    epoch = position.step // position.steps_per_epoch
    return float(scheduler.gamma ** (epoch // scheduler.every_epochs))


def _cosine(scheduler: Cosine, position: Position) -> float:
    steps = max(position.total_steps - scheduler.warmup_steps, 1)
    done = min((position.step - scheduler.warmup_steps) / steps, 1.0)
    return scheduler.final_fraction + (1 - scheduler.final_fraction) * (1 + math.cos(math.pi * done)) / 2


def _one_cycle(scheduler: OneCycle, position: Position) -> float:
    start = 1 / scheduler.start_division
    end = start / scheduler.end_division
    peak = scheduler.up_fraction * position.total_steps - 1
    last = position.total_steps - 1
    if position.step <= peak:
        return _arc(start, 1.0, position.step / peak if peak > 0 else 1.0)
    return _arc(1.0, end, min((position.step - peak) / max(last - peak, 1e-9), 1.0))


def _arc(begin: float, end: float, done: float) -> float:
    return end + (begin - end) / 2 * (1 + math.cos(math.pi * done))


def _linear(scheduler: LinearLr, position: Position) -> float:
    step, total = position.step - scheduler.warmup_steps, max(position.total_steps - scheduler.warmup_steps, 1)
    up = scheduler.up_fraction * total
    if step < up:
        return scheduler.start_fraction + (1 - scheduler.start_fraction) * step / up
    return 1 - (1 - scheduler.final_fraction) * min((step - up) / (total - up), 1.0)


def _plateau(scheduler: Plateau, position: Position) -> float:
    """Replay the history, as torch's ReduceLROnPlateau in relative mode would have seen it."""
    factor, waited = 1.0, 0
    best: Record | None = None
    for record in position.history:
        if position.monitor not in record:
            continue
        if is_better(record, _with_margin(best, position.monitor, scheduler.threshold), position.monitor):
            best, waited = record, 0
        else:
            waited += 1
        if waited > scheduler.patience:
            factor, waited = factor * scheduler.factor, 0
    return factor


def _with_margin(best: Record | None, monitor: str, threshold: float) -> Record | None:
    if best is None:
        return None
    smaller = monitor.endswith(("loss", "error"))
    return {monitor: best[monitor] * (1 - threshold if smaller else 1 + threshold)}


FACTORS: dict[type[LrScheduler], Callable[..., float]] = {
    Constant: lambda scheduler, position: 1.0,
    StepDecay: _step_decay,
    Cosine: _cosine,
    OneCycle: _one_cycle,
    LinearLr: _linear,
    Plateau: _plateau,
}
