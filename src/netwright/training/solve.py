"""An epoch whose weights are found and not trained: the head's optimum for the epoch's penalty."""

import math

from netwright.errors import WorkFailed
from netwright.training.head_solver import HeadSolver
from netwright.training.plan import Plan
from netwright.training.state import TrainingState


def solve_epoch(state: TrainingState, plan: Plan, solver: HeadSolver) -> None:
    """Set the head to its optimum for the epoch's penalty; the sums are of train under it.

    Raises WorkFailed when the loss is not finite."""
    state.model.eval()
    solver.walk_to(state.progress.epoch)
    for outputs, targets in solver.answers():
        loss, weight = plan.batch_loss(outputs, targets)
        if not math.isfinite(loss.item()):
            raise WorkFailed("the loss is not finite: the features are not; train in `runtime.precision: fp32`")
        state.sums.add(loss.item(), weight, outputs, targets)
    state.progress.step += 1
