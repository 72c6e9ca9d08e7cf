"""`netwright lr-find`: which learning rate a training should have, by a range test on a network of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from netwright.config.recipe import Recipe
from netwright.errors import RecipeError, WorkFailed
from netwright.runtime.machine import applied, choose_machine
from netwright.training.lr_range import FEWEST_STEPS, RangeTest, run_range_test, suggest
from netwright.workflows.api import plan_training
from netwright.workflows.build import build_plan, build_state, build_task, open_prepared, resolve
from netwright.workflows.checks import check_own
from netwright.workflows.console import Console
from netwright.workflows.own import Own
from netwright.workflows.pretrained import open_pretrained, with_pretrained

LOWEST, HIGHEST, NUM_STEPS = 1e-7, 10.0, 100


def find_lr(
    data: Any = "digits",
    *,
    model: Any = None,
    transform: Any = None,
    criterion: Any = None,
    optimizer: Any = None,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    num_steps: int = NUM_STEPS,
    plot: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Try learning rates from `lowest` to `highest` on a training asked for as in `train`; return what they speak for.

    Gives what `netwright lr-find --json` prints: `suggestion`, `suggestions` by rule, `lrs`, `losses`, `smoothed`,
    `diverged`. Nothing is kept; `plot` writes the curve as PNG. Raises what `train` raises, and WorkFailed when no lr
    made the loss fall."""
    parts = {"model": model, "transform": transform, "criterion": criterion, "optimizer": optimizer}
    recipe, own, name = plan_training(data, parts, {}, None, settings)
    return find_lr_of(
        recipe,
        own,
        name=name,
        lowest=lowest,
        highest=highest,
        num_steps=num_steps,
        plot=plot,
        say=Console(quiet).say,
    )


def find_lr_of(
    recipe: Recipe,
    own: Own | None = None,
    *,
    name: str,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    num_steps: int = NUM_STEPS,
    plot: str | Path | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Do `find_lr` for a recipe."""
    check_range(lowest, highest, num_steps)
    test, recipe = _tested(recipe, own or Own(), lowest, highest, num_steps, say)
    found = summary(test, recipe)
    if plot is not None:
        from netwright.report.lr_range import plot_lr_range  # loads matplotlib: 0.4 s

        plot_lr_range(found, Path(plot), title=f"{name}: loss by learning rate, {recipe.optimizer.name}")
        found["plot"] = str(plot)
    return found


def check_range(lowest: float, highest: float, num_steps: int) -> None:
    """Raise RecipeError for a range without a slope."""
    if not 0 < lowest < highest:
        raise RecipeError(f"the range is {lowest:g} to {highest:g}; expected 0 < lowest < highest")
    if num_steps < FEWEST_STEPS:
        raise RecipeError(f"the test has {num_steps} steps; expected {FEWEST_STEPS} or more (100 are usual)")


def _tested(
    recipe: Recipe, own: Own, lowest: float, highest: float, num_steps: int, say: Callable[[str], None] | None
) -> tuple[RangeTest, Recipe]:
    """Build what a training of the recipe has, and use it up in a range test; return the resolved recipe too."""
    machine = choose_machine(recipe.runtime)
    with applied(machine):
        pretrained = open_pretrained(recipe, say)
        recipe = with_pretrained(recipe, pretrained)
        prepared = open_prepared(recipe, own, say)
        recipe = resolve(recipe, prepared, machine)
        task = build_task(recipe, prepared)
        plan = build_plan(None, recipe, prepared, task, machine, own)
        state = build_state(recipe, prepared, task, machine, own, pretrained)
        if own.model is not None or own.criterion is not None:
            check_own(plan, state, task)
        return run_range_test(state, plan, lowest, highest, num_steps), recipe


def summary(test: RangeTest, recipe: Recipe) -> dict[str, Any]:
    """Return the test and its suggestions, ready for JSON. Raises WorkFailed where the loss never fell."""
    rules = suggest(test)
    if rules.steepest is None or rules.tenth is None:
        raise WorkFailed(
            f"no learning rate from {test.lrs[0]:g} to {test.lrs[-1]:.2g} made the loss fall by more than its noise in "
            f"{len(test.lrs)} steps; give more of them (--steps 400), other ends (--from, --to) or larger batches"
        )
    suggestions: Mapping[str, float | None] = {
        "steepest": rules.steepest,
        "tenth": rules.tenth,
        "valley": rules.valley,
    }
    return {
        "suggestion": _rounded(rules.steepest),
        "suggestions": {rule: None if lr is None else _rounded(lr) for rule, lr in suggestions.items()},
        "lr": getattr(recipe.optimizer, "lr", None),
        "optimizer": recipe.optimizer.name,
        "batch_size": recipe.training.batch_size,
        "lr_scheduler": recipe.lr_scheduler.name,
        "diverged": test.diverged,
        "lrs": [float(f"{lr:.4g}") for lr in test.lrs],
        "losses": list(test.losses),
        "smoothed": list(test.smoothed),
    }


def _rounded(lr: float) -> float:
    return float(f"{lr:.2g}")
