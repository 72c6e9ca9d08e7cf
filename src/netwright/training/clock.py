"""The time of a run: what an epoch took, when a checkpoint is due, when it has to end."""

from time import perf_counter

from netwright.training.checkpoint import save_checkpoint
from netwright.training.plan import Plan
from netwright.training.state import TrainingState


class Clock:
    """The run's time: laps for the history, when a checkpoint is due, when the allowed time is up."""

    def __init__(self, plan: Plan, state: TrainingState) -> None:
        self._plan, self._state = plan, state
        self._started = self._lap = self._checkpoint = perf_counter()
        self._before = state.progress.seconds

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        self._plan.machine.synchronize()
        now = perf_counter()
        seconds, self._lap = now - self._lap, now
        return seconds

    def since_checkpoint(self) -> float:
        return perf_counter() - self._checkpoint

    def time_is_up(self) -> bool:
        """Say whether `training.max_minutes` have passed, earlier sittings of the run counted in."""
        minutes = self._plan.recipe.training.max_minutes
        return minutes is not None and self._before + perf_counter() - self._started >= 60 * minutes

    def checkpoint(self) -> None:
        """Save the run as it stands."""
        assert self._plan.folder is not None
        self._state.progress.seconds = self._before + perf_counter() - self._started
        save_checkpoint(self._plan.folder.checkpoints, self._state, self._plan.recipe)
        self._checkpoint = perf_counter()
