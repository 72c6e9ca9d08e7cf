"""The fast preset: larger batches, and a learning rate that matches them."""

import math

import msgspec

from netwright.config.optimization import Constant, CustomOptimizer, OneCycle, Optimizer, Sgd
from netwright.config.recipe import Recipe
from netwright.errors import RecipeError

LARGEST_BATCH = 512  # the largest that was tried with no loss of accuracy: mnist-mlp, two seeds
FEWEST_STEPS = 500  # fewer updates cost accuracy: mnist-mlp lost 0.7 and 0.3 points with 264 at the same rule
CYCLE_PEAK = 2.5  # the peak of one cycle over the constant lr it replaces; its mean is about half its peak


def with_fast_preset(recipe: Recipe, num_train_samples: int) -> Recipe:
    """Return the recipe with `training.fast` carried out: a larger batch, its lr, one cycle in place of a constant lr.

    The batch doubles while it stays within 512 and the run keeps 500 updates. Adaptive optimizers' lr grows with the
    square root of the batch (Krizhevsky 2014; Malladi et al. 2022), SGD's in proportion (Goyal et al. 2017), and a
    constant lr becomes one cycle (Smith & Topin 2018). The recipe returned has `fast` off, so that it means the same
    when it is read again. Raises RecipeError for an optimizer of the user's own, whose lr is not known."""
    training = recipe.training
    if not training.fast:
        return recipe
    if isinstance(recipe.optimizer, CustomOptimizer):
        raise RecipeError("`training.fast` changes the lr, and the optimizer is your own; leave `fast` out")
    batch_size = training.batch_size
    while 2 * batch_size <= LARGEST_BATCH and training.epochs * num_train_samples >= 2 * batch_size * FEWEST_STEPS:
        batch_size *= 2
    training = msgspec.structs.replace(training, fast=False, batch_size=batch_size)
    growth = batch_size / recipe.training.batch_size
    if growth == 1:
        return recipe.replace(training=training)
    is_sgd = isinstance(recipe.optimizer, Sgd)
    factor, schedule = growth if is_sgd else math.sqrt(growth), recipe.lr_scheduler
    if isinstance(schedule, Constant):
        factor, schedule = factor if is_sgd else CYCLE_PEAK * factor, OneCycle()
    return recipe.replace(training=training, lr_scheduler=schedule, optimizer=_with_scaled_lr(recipe.optimizer, factor))


def _with_scaled_lr(optimizer: Optimizer, factor: float) -> Optimizer:
    """Multiply every lr that the optimizer has: its own, that of its groups and what Muon gives to SGD."""
    groups = tuple(
        group if group.lr is None else msgspec.structs.replace(group, lr=group.lr * factor)
        for group in optimizer.groups
    )
    rates = {field: getattr(optimizer, field) * factor for field in ("lr", "sgd_lr") if hasattr(optimizer, field)}
    return msgspec.structs.replace(optimizer, groups=groups, **rates)
