"""`netwright train --seeds 5`: the same recipe under several seeds, each a run of its own in one folder.

The folder holds series.json and seed-0, seed-1, …; the same command with the same --out goes on where it was left."""

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from netwright.config.recipe import Recipe
from netwright.errors import InputError, RecipeError
from netwright.files.atomic import explained
from netwright.files.lock import folder_lock
from netwright.files.sealed import write_sealed
from netwright.runs.folder import HOME, SERIES, RunFolder, make_folder, read_json
from netwright.workflows.console import Console
from netwright.workflows.own import Own
from netwright.workflows.train import train_recipe


def train_series(
    recipe: Recipe,
    num_seeds: int,
    *,
    name: str,
    out: Path | None = None,
    test: bool = False,
    vary_split: bool = False,
    console: Console | None = None,
    own: Own | None = None,
) -> dict[str, Any]:
    """Train a recipe with `num_seeds` seeds from `training.seed` on; return `series`, `runs` and `summary` for JSON.

    The split stays that of `split.seed`, unless `vary_split` moves it along. With `test` all are judged on test at the
    end: one look, named after the series. Runs that are there already are not trained again, one that was interrupted
    goes on. `interrupted` says that it has not come to its end.

    Raises RecipeError for fewer than two seeds, InputError when `out` holds something else, and as training does."""
    if num_seeds < 2:
        raise RecipeError(f"a series of {num_seeds} seeds has no spread; give at least 2, such as --seeds 5")
    console, own = console or Console(), own or Own()
    path = _open_folder(recipe, out, name, vary_split)
    with folder_lock(path):
        series = read_json(path / SERIES)
        folders = []
        for number in range(num_seeds):
            one = _with_seed(recipe, recipe.training.seed + number, number if vary_split else 0)
            folder = RunFolder(path / f"seed-{one.training.seed}")
            console.say(f"\nseed     {one.training.seed}, {number + 1} of {num_seeds}")
            if _train(folder, one, console, own):
                return {"series": str(path), "interrupted": True, "runs": [], "summary": {}}
            if test and "test" not in read_json(folder.data)["counts"]:
                raise InputError(
                    "--test was asked for, and the data have no test split; set split.test, or leave it out"
                )
            folders.append(folder)
        if test:
            _judge_on_test(folders, own, series["id"])
        return _result(path, folders)


def _with_seed(recipe: Recipe, seed: int, split_step: int) -> Recipe:
    split = msgspec.structs.replace(recipe.split, seed=recipe.split.seed + split_step)
    return recipe.replace(training=msgspec.structs.replace(recipe.training, seed=seed), split=split)


def _open_folder(recipe: Recipe, out: Path | None, name: str, vary_split: bool) -> Path:
    """Make the series' folder, or find it and make sure that it is of the same recipe."""
    wanted = json.loads(json.dumps({"recipe": recipe.to_mapping(), "vary_split": vary_split}))  # tuples become lists
    if out is not None and (out / SERIES).is_file():
        known = read_json(out / SERIES)
        if {key: known.get(key) for key in wanted} != wanted:
            raise InputError(f"{out} is a series of another recipe; give the same options, or choose another --out")
        return out
    with explained(out or HOME, 1):
        path = make_folder(out, f"{name}-series")
        write_sealed(path / SERIES, {"id": uuid4().hex, **wanted})
    return path


def _train(folder: RunFolder, recipe: Recipe, console: Console, own: Own) -> bool:
    """Train one seed, or what is missing of it; say whether it was interrupted."""
    from netwright.workflows.resume import resume

    if folder.state.exists() and read_json(folder.state)["state"] == "done":
        console.say("         was trained already")
        return False
    if folder.recipe.exists():
        return resume(folder.path, console=console, own=own).interrupted
    shutil.rmtree(folder.path, ignore_errors=True)  # left by a kill before its recipe was written
    return train_recipe(recipe, out=folder.path, console=console, own=own).interrupted


def _judge_on_test(folders: list[RunFolder], own: Own, series: str) -> None:
    from netwright.workflows.evaluate import evaluate_run

    for folder in folders:
        if "test" not in read_json(folder.metrics):
            evaluate_run(folder, own, split="test", series=series)


def _result(path: Path, folders: list[RunFolder]) -> dict[str, Any]:
    from netwright.evaluation.spread import spread
    from netwright.workflows.judging import JUDGINGS

    runs = []
    judging = JUDGINGS[read_json(folders[0].data)["task"]]
    for folder in folders:
        metrics = read_json(folder.metrics)
        splits = {split: judging.short(metrics[split]) for split in ("val", "test") if split in metrics}
        seed = folder.read_recipe().training.seed
        runs.append({"run": str(folder.path), "seed": seed, "best_epoch": metrics["best_epoch"], "metrics": splits})
    summary: dict[str, Any] = {}
    for split in ("val", "test"):
        judged = [run["metrics"][split] for run in runs if split in run["metrics"]]
        if len(judged) == len(runs):
            summary[split] = {name: spread([each[name] for each in judged]) for name in (judging.headline, "loss")}
    result: dict[str, Any] = {"series": str(path), "interrupted": False, "runs": runs, "summary": summary}
    if "test" in summary:  # what was known when the last of them was judged; the series is one look
        summary["test"]["looks"] = read_json(folders[-1].metrics)["test"]["looks"]
        result["looks"] = summary["test"]["looks"]["number"]
    write_sealed(path / SERIES, read_json(path / SERIES) | {"summary": summary})
    return result
