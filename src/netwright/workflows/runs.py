"""`netwright runs`: what was trained, one run in detail. No torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.config.recipe import PARTS
from netwright.files.lock import is_locked
from netwright.runs.folder import HOME, RunFolder, find_run, read_json
from netwright.runs.history import best_record, history_of

SPLITS = ("val", "test")
HEADLINES = ("r2", "mean_dice")  # of tasks that have no accuracy, or for which it says little


def list_runs(folder: Path = HOME) -> list[dict[str, Any]]:
    """Return one row a run under a folder, oldest first; those of a series are called `series/seed-0`."""
    found = [RunFolder(path.parent) for pattern in ("*", "*/seed-*") for path in folder.glob(f"{pattern}/recipe.yaml")]
    found.sort(key=lambda run: (run.recipe.stat().st_mtime, run.path.name))
    return [row(run) | {"name": run.path.relative_to(folder).as_posix()} for run in found]


def show_run(run: str | Path) -> dict[str, Any]:
    """Return all that the run's folder says: row, recipe, environment, data, metrics, history."""
    folder = find_run(run)
    known = {name: _read(path) for name, path in (("environment", folder.environment), ("data", folder.data))}
    metrics = _read(folder.metrics)
    return row(folder) | {
        "recipe": folder.read_recipe().to_mapping(),
        **known,
        "metrics": metrics,
        "history": history_of(folder),
    }


def differing_fields(folders: Sequence[RunFolder]) -> dict[str, list[Any]]:
    """Return the recipe fields in which runs differ, with each run's value.

    Parts of different kinds (a cnn and an mlp) have different arguments: of these the whole part is the value."""
    recipes = [folder.read_recipe().to_mapping() for folder in folders]
    parts = [part for part in PARTS if isinstance(recipes[0][part], dict)]
    whole = {part for part in parts if len({recipe[part].get("name") for recipe in recipes}) > 1}
    fields = [
        {part: _given(recipe[part]) for part in parts if part in whole}
        | flat({section: value for section, value in recipe.items() if section not in whole})
        for recipe in recipes
    ]
    names = dict.fromkeys(name for side in fields for name in side)
    sides = {name: [side.get(name) for side in fields] for name in names}
    return {name: values for name, values in sides.items() if any(value != values[0] for value in values)}


def _given(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if value is not None}


def row(folder: RunFolder) -> dict[str, Any]:
    """Return a run's line in the list."""
    try:
        recipe, history = folder.read_recipe(), history_of(folder)
        metrics, data, state = _read(folder.metrics), _read(folder.data), _state(folder)
    except Exception as error:  # a damaged run is still listed
        return {"name": folder.path.name, "path": str(folder.path), "state": "damaged", "damage": str(error)}
    best = best_record(history, recipe.training.monitor)
    return {
        "name": folder.path.name,
        "path": str(folder.path),
        "state": state,
        "data": data.get("name") or recipe.data.source,
        "model": recipe.model.name,
        "epochs": len(history),
        "best_epoch": best["epoch"] if best else None,
        "val_accuracy": best.get("val_accuracy") if best else None,
        "test_accuracy": metrics.get("test", {}).get("accuracy"),
        **_headlines(best or {}, metrics),
        "seconds": metrics.get("seconds"),
    }


def _headlines(best: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for a run of masks (mean Dice) or numbers (R²), by split; of val as far as it has come."""
    known = {f"{split}_{name}": (metrics.get(split) or {}).get(name) for split in SPLITS for name in HEADLINES}
    known |= {name: best[name] for name, value in known.items() if value is None and name in best}
    return {name: value for name, value in known.items() if value is not None}


def _state(folder: RunFolder) -> str:
    state = str(_read(folder.state).get("state", "interrupted"))
    # a killed process leaves `running` behind, but not its lock
    return "interrupted" if state == "running" and not is_locked(folder.path) else state


def short_metrics(folder: RunFolder) -> dict[str, Any]:
    """Return the numbers of each split that decide."""
    classes = ("accuracy", "accuracy_interval", "loss", "num_samples", "balanced_accuracy")
    numbers = ("mae", "rmse", "r2", "intervals", "loss", "num_samples")
    masks = ("mean_dice", "mean_iou", "accuracy", "accuracy_interval", "intervals", "loss", "num_samples")
    metrics = _read(folder.metrics)
    splits = {split: metrics[split] for split in SPLITS if split in metrics}
    return {
        split: {
            key: found.get(key) for key in (numbers if "r2" in found else masks if "mean_dice" in found else classes)
        }
        | {"loss_interval": loss_interval(found)}
        for split, found in splits.items()
    }


def loss_interval(metrics: Mapping[str, Any]) -> list[float] | None:
    """Return the ends of a split's loss, None where there are none."""
    ends: list[float] | None = (metrics.get("intervals") or {}).get("loss")
    return ends


def _read(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}


def flat(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
