"""Which learning rate: a range test, and what it suggests.

The lr grows from step to step in equal proportions, and the loss of every step is noted (Smith 2015, "Cyclical Learning
Rates for Training Neural Networks"; Smith 2018). It is an ordinary training by `fit`, whose listener sets the lr.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt
from torch import nn

from netwright.config.optimization import Constant, CustomOptimizer
from netwright.errors import Interrupted, WorkFailed
from netwright.runs.history import Record
from netwright.training.fine_tuning import build_staged_optimizer
from netwright.training.fit import fit
from netwright.training.plan import Plan
from netwright.training.state import TrainingState

DIVERGED = 4.0  # times the least smoothed loss so far ends the test, as in fastai
MOMENTUM = 0.98  # of the smoothed loss that decides it, as in fastai
SMOOTHING_DECADES = 0.25  # standard deviation of the kernel that smooths the losses: a factor of 1.8 in lr
FEWEST_SMOOTHED = 2.0  # steps, where they are far apart
FEWEST_STEPS = 10  # with fewer there is no slope to speak of
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RangeTest:
    """The lr of every step and the loss of its batch before the update, NaN or infinite at most in the last."""

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    diverged: bool

    @property
    def smoothed(self) -> tuple[float, ...]:
        """The losses as the suggestions see them."""
        return tuple(smooth(self.losses, self.smoothing_steps).tolist())

    @property
    def smoothing_steps(self) -> float:
        """The standard deviation of the smoothing kernel in steps: more steps in a decade, less noise."""
        decades = math.log10(self.lrs[-1] / self.lrs[0]) if len(self.lrs) > 1 else 0.0
        return max(FEWEST_SMOOTHED, SMOOTHING_DECADES * (len(self.lrs) - 1) / decades) if decades else FEWEST_SMOOTHED


@dataclass(frozen=True)
class Suggestions:
    """Learning rates that a range test speaks for; None where the loss never fell."""

    steepest: float | None
    tenth: float | None
    valley: float | None


class Climber:
    """The listener of a range test: sets the next lr after each step, and asks to stop when the loss has left."""

    def __init__(self, state: TrainingState, lrs: Sequence[float], follows: Sequence[float | None]) -> None:
        self._state, self._lrs, self._follows = state, lrs, follows
        self.losses: list[float] = []
        self.diverged = False
        self._smoothed, self._least = 0.0, math.inf
        self._before = (0.0, 0.0)
        self._set(lrs[0])

    def step(self, done: int, total: int, num_samples: int) -> None:
        """Note the step's loss; look whether the test is over; set the lr of the next one."""
        now = (self._state.sums.loss, self._state.sums.weight)
        self.note((now[0] - self._before[0]) / (now[1] - self._before[1]))
        self._before = (0.0, 0.0) if done == total else now
        if not self.stop_requested():
            self._set(self._lrs[len(self.losses)])

    def note(self, loss: float) -> None:
        """Add a loss; the smoothed one is a moving average without the weight of its beginning at 0."""
        self.losses.append(loss)
        self._smoothed = MOMENTUM * self._smoothed + (1 - MOMENTUM) * loss
        smoothed = self._smoothed / (1 - MOMENTUM ** len(self.losses))
        self._least = min(self._least, smoothed)
        enough = len(self.losses) >= FEWEST_STEPS
        self.diverged = not math.isfinite(loss) or (enough and smoothed > DIVERGED * self._least)

    def epoch(self, record: Record, model: nn.Module) -> None:
        """Nothing: the test does not care for epochs."""

    def stop_requested(self) -> bool:
        return self.diverged or len(self.losses) >= len(self._lrs)

    def _set(self, lr: float) -> None:
        for group, factor in zip(self._state.optimizer.param_groups, self._follows, strict=True):
            if factor is not None:
                group["lr"] = lr * factor


def run_range_test(state: TrainingState, plan: Plan, lowest: float, highest: float, num_steps: int) -> RangeTest:
    """Train `state` for `num_steps` updates at lrs from `lowest` to `highest`, or until the loss has left.

    The recipe's schedule, val and the end of its epochs play no part; all else is as in a training of this plan, which
    begins with these batches. What varies is `optimizer.lr`, so groups with an lr of their own keep it. `state` is of
    no use afterwards."""
    recipe = plan.recipe
    endless = msgspec.structs.replace(
        recipe.training, epochs=2**31, patience=None, max_minutes=None, eval_every_steps=None, monitor="train_loss"
    )
    plan = replace(plan, recipe=recipe.replace(training=endless, lr_scheduler=Constant()), val=None, folder=None)
    lrs = [lowest * (highest / lowest) ** (place / (num_steps - 1)) for place in range(num_steps)]
    climber = Climber(state, lrs, followers(state, plan))
    try:
        fit(state, plan, climber)
    except Interrupted:
        pass
    except WorkFailed:  # not finite: found before the step was told of
        climber.note(math.inf)
    return RangeTest(tuple(lrs[: len(climber.losses)]), tuple(climber.losses), climber.diverged)


def followers(state: TrainingState, plan: Plan) -> list[float | None]:
    """Return for each group of the optimizer how many times `optimizer.lr` its lr is; None where it is its own."""
    groups, given = state.optimizer.param_groups, plan.recipe.optimizer
    if isinstance(given, CustomOptimizer):
        return [group["lr"] / groups[0]["lr"] for group in groups]
    lr = getattr(given, "lr")  # noqa: B009 (every built-in optimizer has one, which mypy does not know)
    kernel = plan.recipe.runtime.optimizer_kernel
    assert kernel != "auto"  # written out by `resolve`
    doubled = build_staged_optimizer(msgspec.structs.replace(given, lr=2 * lr), state.model, kernel=kernel)
    return [
        group["lr"] / lr if other["lr"] != group["lr"] else None
        for group, other in zip(groups, doubled.param_groups, strict=True)
    ]


def suggest(test: RangeTest) -> Suggestions:
    """Return what the smoothed losses speak for.

    `steepest`: where the loss falls fastest over log lr, before its minimum; `tenth`: a tenth of the lr at the minimum
    (both fastai's first rules, after Smith 2018); `valley`: in the middle third of the longest falling subsequence of
    the moving average (fastai's default since 2021)."""
    losses = smooth(test.losses, test.smoothing_steps)
    least = int(losses.argmin())
    if len(losses) < FEWEST_STEPS or least < 2:
        return Suggestions(None, None, None)
    start = float(np.mean(test.losses[: max(3, least // 4)]))
    fall = start - float(losses[least])
    if not fall > _chance(np.asarray(test.losses) - losses, least, start, test.smoothing_steps):
        return Suggestions(None, None, None)
    # not in the noise of the flat beginning: where a tenth of the fall is behind it for good
    begin = int(np.flatnonzero(losses[: least + 1] >= start - 0.1 * fall).max(initial=0))
    steepest = begin + int(np.gradient(losses)[begin : least + 1].argmin())
    return Suggestions(test.lrs[steepest], test.lrs[least] / 10, test.lrs[_valley(moving_average(test.losses))])


def _chance(rests: Floats, least: int, start: float, smoothing_steps: float) -> float:
    """Return how far smoothed losses fall by chance: 1 % of the start, or five standard errors of their noise.

    Five and not two, since the start has an error too, and the least of many places is looked at."""
    noise = float(np.std(rests[: least + 1])) / math.sqrt(2 * math.sqrt(math.pi) * smoothing_steps)
    return max(0.01 * abs(start), 5 * noise)


def smooth(losses: Sequence[float], smoothing_steps: float) -> Floats:
    """Return the losses (N,) smoothed by a Gaussian of so many steps, which unlike a moving average has no lag.

    What is above twice the first ones, or not finite, counts as that: the explosion at the end would reach back."""
    values = np.array(losses, dtype=np.float64)
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values))
    ceiling = 2 * float(known[: max(FEWEST_STEPS, 1)].mean())
    values = np.where(np.isfinite(values), np.minimum(values, ceiling), ceiling)
    apart = np.arange(len(values))[:, None] - np.arange(len(values))
    weights = np.exp(-0.5 * (apart / smoothing_steps) ** 2)
    return np.asarray((weights @ values) / weights.sum(axis=1))


def moving_average(losses: Sequence[float]) -> Floats:
    """Return fastai's smoothed losses (N,): a moving average without the weight of its beginning at 0."""
    total, averages = 0.0, []
    for place, loss in enumerate(losses, start=1):
        total = MOMENTUM * total + (1 - MOMENTUM) * loss
        averages.append(total / (1 - MOMENTUM**place))
    return np.array(averages)


def _valley(losses: Floats) -> int:
    """Return the place in the longest falling subsequence at which fastai's `valley` looks."""
    count = len(losses)
    lengths = np.ones(count, dtype=int)
    for end in range(1, count):
        before = lengths[:end][losses[:end] > losses[end]]
        lengths[end] = 1 + (int(before.max()) if len(before) else 0)
    last = int(lengths.argmax())
    first = max(last - int(lengths[last]), 0)
    section = (last - first) / 3
    return first + int(section) + int(section / 2)
