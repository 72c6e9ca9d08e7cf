"""`netwright runs`: what was trained, one run in detail, two runs side by side. No torch."""

from pathlib import Path
from typing import Any

from netwright.files.lock import is_locked
from netwright.runs.folder import HOME, RunFolder, find_run, read_json
from netwright.runs.history import best_record, read_history


def list_runs(folder: Path = HOME) -> list[dict[str, Any]]:
    """Return one row a run under a folder, oldest first."""
    found = [RunFolder(path.parent) for path in folder.glob("*/recipe.yaml")]
    return [_row(run) for run in sorted(found, key=lambda run: (run.recipe.stat().st_mtime, run.path.name))]


def show_run(run: str | Path) -> dict[str, Any]:
    """Return all that the run's folder says: row, recipe, environment, data, metrics, history."""
    folder = find_run(run)
    known = {name: _read(path) for name, path in (("environment", folder.environment), ("data", folder.data))}
    metrics = _read(folder.metrics)
    return _row(folder) | {
        "recipe": folder.read_recipe().to_mapping(),
        **known,
        "metrics": metrics,
        "history": read_history(folder.history),
    }


def compare_runs(one: str | Path, other: str | Path) -> dict[str, Any]:
    """Return the recipe fields in which two runs differ, and the metrics of both.

    `same_val` says whether both were judged on the same val images; without it the numbers can't be compared."""
    folders = [find_run(one), find_run(other)]
    fields = [_flat(folder.read_recipe().to_mapping()) for folder in folders]
    differing = {
        key: [side.get(key) for side in fields]
        for key in {**fields[0], **fields[1]}
        if fields[0].get(key) != fields[1].get(key)
    }
    rows = [_row(folder) for folder in folders]
    result: dict[str, Any] = {"runs": rows, "differing": differing, "metrics": [_short(folder) for folder in folders]}
    data = [_read(folder.data) for folder in folders]
    if all(data):
        vals = [side.get("split_fingerprints", {}).get("val") for side in data]
        result["same_val"] = vals[0] is not None and vals[0] == vals[1]
    return result


def _row(folder: RunFolder) -> dict[str, Any]:
    history = read_history(folder.history)
    try:
        recipe = folder.read_recipe()
    except Exception:  # a damaged run is still listed
        return {"name": folder.path.name, "path": str(folder.path), "state": "damaged"}
    best = best_record(history, recipe.training.monitor)
    metrics = _read(folder.metrics)
    return {
        "name": folder.path.name,
        "path": str(folder.path),
        "state": _state(folder),
        "data": _read(folder.data).get("name") or recipe.data.source,
        "model": recipe.model.name,
        "epochs": len(history),
        "best_epoch": best["epoch"] if best else None,
        "val_accuracy": best.get("val_accuracy") if best else None,
        "test_accuracy": metrics.get("test", {}).get("accuracy"),
        "seconds": metrics.get("seconds"),
    }


def _state(folder: RunFolder) -> str:
    state = str(_read(folder.state).get("state", "interrupted"))
    # a killed process leaves `running` behind, but not its lock
    return "interrupted" if state == "running" and not is_locked(folder.path) else state


def _short(folder: RunFolder) -> dict[str, Any]:
    keep = ("accuracy", "accuracy_interval", "loss", "num_samples", "balanced_accuracy")
    metrics = _read(folder.metrics)
    return {split: {k: metrics[split].get(k) for k in keep} for split in ("val", "test") if split in metrics}


def _read(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}


def _flat(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
