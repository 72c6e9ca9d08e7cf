"""`netwright runs compare A B`: recipes side by side, and, on the same images, whether one is better. No torch.

It reads the outputs that the runs keep. Reading those on test is no new look: both looks are in the ledger already."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from netwright.errors import InputError, listed
from netwright.evaluation.compare import compare_answers
from netwright.evaluation.paired import compare_masks, compare_numbers
from netwright.runs.folder import RunFolder, find_run
from netwright.runs.outputs import StoredOutputs, load_outputs
from netwright.workflows.runs import differing_fields, row, short_metrics

ALMOST_IMPOSSIBLE = -100.0


def compare_runs(one: str | Path, other: str | Path, *, split: str | None = None) -> dict[str, Any]:
    """Return the recipe fields in which two runs differ, the metrics of both, and `comparison` on a split.

    `split` None means val, compared where that can be done, with the reason in `not_compared` where it can't.
    Raises InputError when a split was asked for by name and the two were not judged on the same images of it."""
    folders = [find_run(one), find_run(other)]
    result: dict[str, Any] = {
        "runs": [row(folder) for folder in folders],
        "differing": differing_fields(folders),
        "metrics": [short_metrics(folder) for folder in folders],
        "split": split or "val",
    }
    try:
        result["comparison"] = _compare(folders, split or "val")
    except InputError as error:
        if split is not None:
            raise
        result["not_compared"] = str(error)
    return result


def _compare(folders: list[RunFolder], split: str) -> dict[str, Any]:
    first, second = (_outputs(folder, split) for folder in folders)
    names = [str(folder.path) for folder in folders]
    tasks = [_task_of(outputs) for outputs in (first, second)]
    if tasks[0] != tasks[1]:
        raise InputError(f"{names[0]} is for {tasks[0]} and {names[1]} for {tasks[1]}, which no number compares")
    if first.about["fingerprint"] != second.about["fingerprint"]:
        common = _num_common(first, second)
        raise InputError(
            f"{names[0]} and {names[1]} were not judged on the same {split} images ({len(first.rows):,} and "
            f"{len(second.rows):,}, {common:,} in common), so they can't be compared image by image; train one with "
            f"--set split.manifest={folders[0].split}"
        )
    return COMPARING[tasks[0]](first, second)


def _classes(first: StoredOutputs, second: StoredOutputs) -> dict[str, Any]:
    right, losses = [], []
    for outputs in (first, second):
        place = _order(outputs, np.asarray(outputs.about["class_names"])[outputs.targets])
        right.append((outputs.predictions == outputs.targets)[place])
        scores = outputs.answers[np.arange(len(place)), outputs.targets].astype(np.float64)
        losses.append(-np.maximum(scores, ALMOST_IMPOSSIBLE)[place])
    return compare_answers((right[0], right[1]), (losses[0], losses[1]))


def _masks(first: StoredOutputs, second: StoredOutputs) -> dict[str, Any]:
    known = [outputs.about["class_names"] for outputs in (first, second)]
    if known[0] != known[1]:
        raise InputError(f"the classes of the masks are {listed(known[0])} and {listed(known[1])}; make them equal")
    sides = [outputs.answers[_order(outputs, outputs.targets)] for outputs in (first, second)]
    return compare_masks(sides[0], sides[1])


def _numbers(first: StoredOutputs, second: StoredOutputs) -> dict[str, Any]:
    places = [_order(outputs, outputs.targets) for outputs in (first, second)]
    said = [outputs.answers[place].astype(np.float64) for outputs, place in zip((first, second), places, strict=True)]
    return compare_numbers(said[0], said[1], first.targets[places[0]].astype(np.float64))


COMPARING: dict[str, Callable[[StoredOutputs, StoredOutputs], dict[str, Any]]] = {
    "classification": _classes,
    "segmentation": _masks,
    "regression": _numbers,
}


def _task_of(outputs: StoredOutputs) -> str:
    """Return what the outputs are of: (N, K) of classes, (N,) numbers, (N, K, K) of masks."""
    return {1: "regression", 2: "classification", 3: "segmentation"}[outputs.answers.ndim]


def _outputs(folder: RunFolder, split: str) -> StoredOutputs:
    """Read a run's outputs. Raises InputError when it has none, with how it comes to have them."""
    path = folder.outputs_of(split)
    if not path.exists():
        look = "; this opens the test split, and the look is counted" if split == "test" else ""
        raise InputError(
            f"{folder.path} has no outputs on {split}: netwright evaluate {folder.path} --split {split}{look}"
        )
    return load_outputs(path)


def _order(outputs: StoredOutputs, targets: np.ndarray) -> np.ndarray:
    """Return the order in which images of equal content stand at the same place in both runs.

    By content and target; items of a data set of one's own that are read anew have no content but their row."""
    return np.lexsort((outputs.rows, targets, outputs.samples))


def _num_common(first: StoredOutputs, second: StoredOutputs) -> int:
    """Count the images that are in both."""
    return len(np.intersect1d(first.samples, second.samples))
