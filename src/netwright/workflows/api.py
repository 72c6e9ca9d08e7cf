"""`nw.train` and its kin: the same workflows with keyword arguments, taking names or the user's own objects."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from netwright.config.overrides import SHORT_NAMES, override
from netwright.config.recipe import PARTS, Recipe, build_recipe
from netwright.config.rows import with_row_defaults
from netwright.config.sections import SECTIONS
from netwright.data.masks.given import holds_masks
from netwright.errors import RecipeError, did_you_mean, listed
from netwright.workflows import resume as resume_workflow
from netwright.workflows import series as series_workflow
from netwright.workflows.console import Console
from netwright.workflows.own import Own
from netwright.workflows.plan import plan_name, plan_recipe, with_mask_defaults
from netwright.workflows.run import Run
from netwright.workflows.train import train_recipe
from netwright.workflows.weights_source import settled_weights, with_network_of_run


def train(
    data: Any = "digits",
    *,
    model: Any = None,
    transform: Any = None,
    criterion: Any = None,
    optimizer: Any = None,
    metrics: Mapping[str, Callable[..., float]] | None = None,
    on_epoch: Callable[..., None] | None = None,
    out: str | Path | None = None,
    test: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a classifier and return its run.

    `data`: a name, a folder, an `.npz`, a table, a recipe's name or file, a `Recipe`; or arrays (images, targets), a
    dict of them by split, a map-style torch `Dataset`, or a DataFrame (with `target`). `model`, `criterion`,
    `optimizer`, `transform`: a name, a mapping as in a recipe, or an own object (see `netwright.workflows.own.Own`).
    `settings`: the command line's short options (`epochs`, `lr`, `batch_size`, `seed`, …) or whole sections
    (`training={"patience": 3}`).

    Raises RecipeError, DataError, MachineError or WorkFailed."""
    parts = {"model": model, "transform": transform, "criterion": criterion, "optimizer": optimizer}
    recipe, own, name = plan_training(data, parts, metrics or {}, on_epoch, settings)
    return train_recipe(recipe, out=_path(out), test=test, console=Console(quiet), name=name, own=own)


def train_series(
    data: Any = "digits",
    *,
    seeds: int = 5,
    vary_split: bool = False,
    model: Any = None,
    transform: Any = None,
    criterion: Any = None,
    optimizer: Any = None,
    metrics: Mapping[str, Callable[..., float]] | None = None,
    out: str | Path | None = None,
    test: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Train several seeds of one recipe, asked for as in `train`; return what `netwright train --seeds --json` prints.

    A network of your own has the same first weights in every run: only order and augmentation differ."""
    parts = {"model": model, "transform": transform, "criterion": criterion, "optimizer": optimizer}
    recipe, own, name = plan_training(data, parts, metrics or {}, None, settings)
    return series_workflow.train_series(
        recipe, seeds, name=name, out=_path(out), test=test, vary_split=vary_split, console=Console(quiet), own=own
    )


def _path(out: str | Path | None) -> Path | None:
    return None if out is None else Path(out)


def plan_training(
    data: Any,
    parts: Mapping[str, Any],
    metrics: Mapping[str, Callable[..., float]],
    on_epoch: Callable[..., None] | None,
    settings: Mapping[str, Any],
) -> tuple[Recipe, Own, str]:
    """Return the recipe, the own objects and the name of what was asked for."""
    own_parts = {name: part for name, part in parts.items() if _is_object(part)}
    pairs = [pair for name, part in parts.items() if part is not None for pair in _part_settings(name, part)]
    pairs += [pair for name, value in settings.items() for pair in _settings(name, value)]
    for metric in metrics:
        if metric in ("loss", "accuracy", "seconds"):
            raise RecipeError(f"the metric's name {metric!r} is taken; call it something else")
    own = Own(data=None if _is_named(data) else data, metrics=metrics, on_epoch=on_epoch, **own_parts)
    if isinstance(data, Recipe):
        recipe = build_recipe(override(data.to_mapping(), pairs))
        own = Own(metrics=metrics, on_epoch=on_epoch, **own_parts)
        name = plan_name(recipe.data.source)
    elif own.data is None:
        recipe, name = plan_recipe(str(data), pairs), plan_name(str(data))
    else:
        described = f"<{type(data).__name__}>"
        base: Mapping[str, Any] = {"data": {"source": described}}
        if holds_masks(data):
            base = with_mask_defaults(base, described)
        base = with_network_of_run(with_row_defaults(base, pairs), pairs)
        recipe, name = build_recipe(override(base, pairs)), "arrays"
        recipe = recipe.replace(model=settled_weights(recipe.model))
    return recipe, own, name


def resume(
    run: str | Path | Run,
    *,
    epochs: int | None = None,
    quiet: bool = False,
    **own: Any,
) -> Run:
    """Go on with a run; the user's own objects (`model`, `data`, …) must be given again."""
    path = run.path if isinstance(run, Run) else run
    known = [field.name for field in dataclasses.fields(Own)]
    for name in own:
        if name not in known:
            raise RecipeError(
                f"resume() has no argument {name!r}{did_you_mean(name, known)}; own parts: {listed(known)}"
            )
    given = dataclasses.replace(run.own if isinstance(run, Run) else Own(), **own)
    return resume_workflow.resume(path, epochs=epochs, console=Console(quiet), own=given)


def _is_named(data: Any) -> bool:
    return isinstance(data, (str, Path, Recipe))


def _is_object(part: Any) -> bool:
    return part is not None and not isinstance(part, (str, Mapping, tuple, list))


def _part_settings(name: str, part: Any) -> list[tuple[str, Any]]:
    """Say in the recipe what a part is: its name, its mapping, or that it was an own object of some type."""
    if name == "transform":
        if _is_object(part):
            return [("transform.normalize", "custom")]
        if not isinstance(part, Mapping):
            return [("transform.normalize", part)]
        return [(f"transform.{key}", value) for key, value in dict(part).items()]
    if _is_object(part):
        return [(f"{name}.name", "custom"), (f"{name}.type", getattr(part, "__name__", type(part).__name__))]
    if isinstance(part, str):
        return [(f"{name}.name", part)]
    return [(f"{name}.{key}", _written(value)) for key, value in dict(part).items()]


def _written(value: Any) -> Any:
    """Return paths, and runs where weights come from, as a recipe file has them."""
    if isinstance(value, Run):
        return str(value.path)
    return str(value) if isinstance(value, Path) else value


def _settings(name: str, value: Any) -> list[tuple[str, Any]]:
    if name in (*SECTIONS, *PARTS) and isinstance(value, Mapping):
        return [(f"{name}.{key}", _written(inner)) for key, inner in value.items()]
    if name in (*SHORT_NAMES, *SECTIONS, *PARTS):
        return [(name, _written(value))]
    known = ["model", "transform", "criterion", "optimizer", "metrics", "on_epoch", "out", "test", "quiet"]
    known += [*SHORT_NAMES, *SECTIONS, *PARTS]
    raise RecipeError(f"train() has no argument {name!r}{did_you_mean(name, known)}; see help(netwright.train)")
