"""About how long a training will take: a few steps of a copy, before the first real one."""

import copy
from time import perf_counter

from netwright.config.optimization import CustomOptimizer
from netwright.runtime.randomness import seed_step
from netwright.training.fit import Plan
from netwright.training.optimizer import build_optimizer
from netwright.training.state import TrainingState

TRIAL_STEPS = 3


def estimate_seconds(state: TrainingState, plan: Plan) -> float | None:
    """Return the seconds that all epochs will take, validation counted as a third of a step's work a batch.

    Runs one step to warm up and three to time, on copies: the run itself is left untouched. None for the user's own
    optimizer, which can't be copied safely."""
    if isinstance(plan.recipe.optimizer, CustomOptimizer):
        return None
    try:
        model = copy.deepcopy(state.model).train()
    except (RuntimeError, TypeError):  # a module may hold what can't be copied, and train well for all that
        return None
    optimizer = build_optimizer(plan.recipe.optimizer, model.parameters(), fused=not plan.machine.exact)
    batch = plan.train.batch(1, 0)
    seconds = []
    for step in range(1 + TRIAL_STEPS):
        seed_step(plan.recipe.training.seed, "estimate", 0, step)
        plan.machine.synchronize()
        start = perf_counter()
        batch = plan.train.batch(1, 0)
        with plan.machine.autocast():
            outputs = model(plan.machine.arrange(batch.images))
        plan.batch_loss(outputs, batch.targets)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        plan.machine.synchronize()
        seconds.append(perf_counter() - start)
    val_batches = plan.val.num_batches if plan.val is not None else 0
    epochs = plan.recipe.training.epochs - state.progress.epoch + 1
    return epochs * min(seconds[1:]) * (plan.train.num_batches + val_batches / 3)
