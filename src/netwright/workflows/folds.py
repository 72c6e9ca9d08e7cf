"""`netwright evaluate RUN --folds 5`: every image of train and val judged by a network that was not trained on it.

RUN/folds holds folds.json (of what the answers are), fold-1 (a run while it trains, removed once its answers are kept),
fold-1.safetensors, …, suspects.csv. The same command goes on where it was left. Test is not read."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from netwright.config.recipe import Recipe
from netwright.config.sections import Split
from netwright.data.folds import Folds, cut_folds
from netwright.data.labelled import LabelledData, Rows
from netwright.data.leaks.gate import tied_rows
from netwright.data.leaks.twins import find_twins
from netwright.data.prepare import PreparedData, prepare_like
from netwright.data.splits import VAL_OF_TRAIN, cut_rows, manifest, read_manifest
from netwright.deployment.predictor import load_predictor
from netwright.errors import InputError
from netwright.files.atomic import explained, write_json
from netwright.files.hashing import sha256_bytes, sha256_file
from netwright.files.lock import folder_lock
from netwright.files.sealed import write_sealed
from netwright.runs.folder import RunFolder, create_run, find_run, read_json
from netwright.runs.outputs import StoredOutputs, load_outputs, save_outputs
from netwright.runtime.machine import applied, machine_for_predictions
from netwright.workflows.build import eval_batches
from netwright.workflows.console import Console
from netwright.workflows.judging import sample_numbers
from netwright.workflows.out_of_fold import judge_folds
from netwright.workflows.own import Own
from netwright.workflows.reopen import open_own_data
from netwright.workflows.supervise import train_in


def evaluate_folds(run: str | Path, num_folds: int, *, console: Console | None = None) -> dict[str, Any]:
    """Judge all of a run's train and val by folds, by the run's folder or name; see `evaluate_folds_of`."""
    return evaluate_folds_of(find_run(run), Own(), num_folds, console=console)


def evaluate_folds_of(folder: RunFolder, own: Own, num_folds: int, *, console: Console | None = None) -> dict[str, Any]:
    """Train the run's recipe `num_folds` times, each without one part of train and val, and judge that part.

    A tenth of what is left chooses the epoch and the temperature, where the run has a val split: the part that is
    judged has no say in its network. Twins and groups stay together. Returns run, folds, metrics (accuracy, suspects),
    paths; or `interrupted`. Raises InputError when the run is not finished, DataError when its data have changed."""
    folder.finished_bundle()
    console = console or Console()
    recipe = folder.read_recipe()
    if recipe.data.task not in ("auto", "classification"):
        raise InputError(f"--folds looks for wrong labels among classes, and {folder.path} is a {recipe.data.task}")
    labelled = open_own_data(folder, own, recipe)
    if labelled.task != "classification":
        raise InputError(f"--folds looks for wrong labels of classes, and the task is {labelled.task}; leave it out")
    splits = read_manifest(folder.split, labelled)
    rows = np.concatenate([part for name, part in splits.items() if name != "test"])
    tied = tied_rows(labelled, find_twins(labelled.images))
    folds = cut_folds(labelled.targets, rows, num_folds, recipe.split.seed, tied)
    path = folder.path / "folds"
    with explained(path, 1):
        path.mkdir(exist_ok=True)
    with folder_lock(path):
        _begin(path, recipe, labelled, folds)
        for number, held in enumerate(folds.parts, 1):
            if _is_kept(path, number):
                continue
            console.say(f"\nfold     {number} of {len(folds.parts)}: {len(held):,} images held out")
            rest = _train_and_val(labelled, np.setdiff1d(rows, held), tied, recipe, "val" in splits)
            if not _judge_part(path, number, rest, held, recipe, labelled, console, own):
                return {"run": str(folder.path), "folds": len(folds.parts), "interrupted": True}
        answers = [load_outputs(_kept(path, number)) for number in range(1, len(folds.parts) + 1)]
        return judge_folds(folder, own, labelled, answers, num_apart=len(folds.apart))


def _judge_part(
    path: Path,
    number: int,
    rest: dict[str, Rows],
    held: Rows,
    recipe: Recipe,
    labelled: LabelledData,
    console: Console,
    own: Own,
) -> bool:
    """Train on the rest and keep what that network says of the part held out; False when it was interrupted."""
    given = path / f"split-{number}.json"
    write_json(given, manifest(labelled, rest))
    recipe = recipe.replace(
        split=Split(seed=recipe.split.seed, manifest=str(given.resolve()), by_time=recipe.split.by_time)
    )
    fold = RunFolder(path / f"fold-{number}")
    if _train(fold, recipe, console, own):
        return False
    _answer(fold, recipe, own, labelled, held, _kept(path, number))
    console.log = None  # it lies in the folder that goes now: the networks would take five times the run's disk
    shutil.rmtree(fold.path)
    return True


def _begin(path: Path, recipe: Recipe, labelled: LabelledData, folds: Folds) -> None:
    """Note what the folds are of; what is there of another recipe, other data or other folds goes."""
    parts = [sha256_bytes(np.ascontiguousarray(part, dtype="<i8").tobytes()) for part in (*folds.parts, folds.apart)]
    whole = {"recipe": recipe.to_mapping(), "folds": len(folds.parts), "rows": parts}
    wanted = json.loads(json.dumps(whole))  # tuples become lists
    note = path / "folds.json"
    with suppress(InputError):  # a damaged note is as good as none
        if note.exists() and read_json(note) == wanted:
            return
    for old in path.iterdir():
        if not old.name.startswith(".lock"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    write_sealed(note, wanted)


def _kept(path: Path, number: int) -> Path:
    return path / f"fold-{number}.safetensors"


def _is_kept(path: Path, number: int) -> bool:
    """Say whether a fold's answers are there and whole; damaged ones are made again."""
    try:
        return _kept(path, number).exists() and bool(load_outputs(_kept(path, number)).about)
    except InputError:
        return False


def _train_and_val(labelled: LabelledData, kept: Rows, tied: Rows, recipe: Recipe, with_val: bool) -> dict[str, Rows]:
    """Cut val from what is not held out; classes of which only one set of twins is left stay in train whole."""
    if not with_val:
        return {"train": kept}
    targets = labelled.targets
    pairs = np.unique(np.stack([targets[kept], tied[kept]]), axis=1)[0]
    rare = np.isin(targets[kept], np.flatnonzero(np.bincount(pairs) < 2))
    if rare.all():
        return {"train": kept}
    fractions = {"val": VAL_OF_TRAIN, "test": 0.0}
    cut = cut_rows(targets, kept[~rare], fractions, recipe.split.seed, labelled.class_names, tied)
    return cut | {"train": np.sort(np.concatenate([cut["train"], kept[rare]]))}


def _train(fold: RunFolder, recipe: Recipe, console: Console, own: Own) -> bool:
    """Train one fold, or what is missing of it; say whether it was interrupted."""
    if fold.state.exists() and read_json(fold.state)["state"] == "done":
        return False
    if not fold.recipe.exists():
        shutil.rmtree(fold.path, ignore_errors=True)  # left by a kill before its recipe was written
        create_run(recipe, fold.path, "fold")
    return train_in(fold, fold.read_recipe(), console=console, own=own, plots=False)


def _answer(fold: RunFolder, recipe: Recipe, own: Own, labelled: LabelledData, held: Rows, path: Path) -> None:
    """Ask a fold's network about the images that it has not seen, and keep what it says."""
    machine = machine_for_predictions(recipe.runtime)
    with applied(machine):
        predictor = load_predictor(fold.finished_bundle(), machine, model=own.model, transform=own.transform)
        prepared: PreparedData = prepare_like(labelled, {"held": held}, predictor.transform, own.transform)
        batches = eval_batches(prepared, "held", recipe, machine)
        parts = [predictor.answers(batch.images).numpy() for batch in batches.epoch(0)]
    scores = np.concatenate(parts)
    about = {
        "temperature": predictor.bundle.temperature,
        "epoch": predictor.bundle.epoch,
        "weights_sha256": sha256_file(fold.weights),
        "class_names": list(labelled.class_names),
    }
    stored = StoredOutputs(
        answers=scores,
        predictions=scores.argmax(axis=1),
        targets=labelled.targets[held],
        rows=held,
        samples=sample_numbers(labelled, held),
        about=about,
    )
    save_outputs(path, stored)
