"""The time of a run: what an epoch took, when a checkpoint is due, when it has to end.

All by a clock that only goes forward: setting the system's clock changes nothing."""

from time import perf_counter
from types import TracebackType
from typing import Self

from netwright.training.not_finite import check_noted, check_weights
from netwright.training.plan import Plan
from netwright.training.saver import Saver
from netwright.training.state import TrainingState

EPOCH_END_SECONDS = 10.0  # a checkpoint at the end of an epoch waits at least so long after the last
# of the time, by the saver's count, that such checkpoints may take. The caches and the bandwidth that a save takes from
# the training are not in it: 200 MB cost 0.6 % on two busy cores, and 6 % after every 10 s
COST_FRACTION = 0.005


class Clock:
    """The run's time: laps for the history, when a checkpoint is due, when the allowed time is up.

    At the end of its block the last checkpoint is on the disk."""

    def __init__(self, plan: Plan, state: TrainingState) -> None:
        self._plan, self._state = plan, state
        self._started = self._lap = self._checkpoint = perf_counter()
        self._before = state.progress.seconds
        self._saver = Saver(plan.folder.checkpoints) if plan.folder is not None else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saver is None:
            return
        if error is None:
            self._saver.wait()
        elif isinstance(error, Exception):
            self._saver.finish()
        else:  # someone wants to stop at once
            self._saver.abandon()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        self._plan.machine.synchronize()
        now = perf_counter()
        seconds, self._lap = now - self._lap, now
        return seconds

    def time_is_up(self) -> bool:
        """Say whether `training.max_minutes` have passed, earlier sittings of the run counted in."""
        minutes = self._plan.recipe.training.max_minutes
        return minutes is not None and self._before + perf_counter() - self._started >= 60 * minutes

    def due(self, after_seconds: float) -> bool:
        """Say whether a checkpoint is due so long after the last: never while that one is being written.

        Raises what went wrong with the last one, MachineError for a full disk."""
        if self._saver is None:
            return False
        self._saver.check()
        return perf_counter() - self._checkpoint >= after_seconds and not self._saver.busy

    def due_at_epoch_end(self) -> bool:
        """Say whether an epoch that ends now is to be saved: 10 s after the last one, later where one costs more.

        Never later than between two steps of an epoch. Raises as `due`."""
        if self._saver is None:
            return False
        wait = max(EPOCH_END_SECONDS, self._saver.seconds / COST_FRACTION)
        return self.due(min(wait, max(EPOCH_END_SECONDS, self._plan.recipe.training.checkpoint_seconds)))

    def checkpoint(self, *, wait: bool = False) -> None:
        """Save the run as it stands: in the background, or wait until it is on the disk."""
        if self._saver is None:
            return
        check_noted(self._state, self._plan)
        check_weights(self._state.model, self._state.progress.step)
        self._state.progress.seconds = self._before + perf_counter() - self._started
        self._saver.save(self._state, self._plan.recipe)
        self._checkpoint = perf_counter()
        if wait:
            self._saver.wait()
