"""About how long a training will take: a few steps of a copy, before the first real one."""

from time import perf_counter

import torch

from netwright.config.optimization import CustomOptimizer
from netwright.runtime.randomness import seed_step
from netwright.training.contest import Clock
from netwright.training.optimizer import Kernel
from netwright.training.plan import Plan
from netwright.training.rehearsal import Rehearsal
from netwright.training.state import TrainingState

ESTIMATED_STEPS = 3
MOST_SECONDS = 2.0  # long steps differ little, and the first of them says enough


def estimate_seconds(
    state: TrainingState, plan: Plan, kernel: Kernel = "plain", clock: Clock = perf_counter
) -> float | None:
    """Return the seconds that all epochs will take, validation counted as a third of a step's work a batch.

    Runs one step to warm up and three to time, fewer where they take seconds, on copies: the run itself is left
    untouched. They are of the last epoch, whose images are largest. None for a network or an optimizer that can't be
    copied safely."""
    if isinstance(plan.recipe.optimizer, CustomOptimizer):  # it may hold on to the run's own network
        return None
    try:
        graphed = plan.recipe.runtime.cuda_graphs is True
        rehearsal = Rehearsal(state.model, plan, plan.machine.memory_format, kernel, graphed=graphed)
    except (RuntimeError, TypeError):  # a module may hold what can't be copied, and train well for all that
        return None
    seconds: list[float] = []
    with torch.random.fork_rng(devices=[plan.machine.device] if plan.machine.device.type == "cuda" else []):
        rehearsal.warm_up([plan.train.batch(plan.recipe.training.epochs, 0)] if graphed else [], plan.machine)
        for step in range(1 + ESTIMATED_STEPS):
            if sum(seconds) > MOST_SECONDS:
                break
            seed_step(plan.recipe.training.seed, "estimate", 0, step)
            plan.machine.synchronize()
            start = clock()
            rehearsal.step(plan.train.batch(plan.recipe.training.epochs, 0), plan.machine)
            seconds.append(clock() - start)
    val_batches = plan.val.num_batches if plan.val is not None else 0
    epochs = plan.recipe.training.epochs - state.progress.epoch + 1
    return epochs * min(seconds[1:] or seconds) * (plan.train.num_batches + val_batches / 3)
