"""`netwright runs compare A B`: recipes side by side, and, on the same images, whether one is better. No torch.

It reads the outputs that the runs keep. Reading those on test is no new look: both looks are in the ledger already."""

from pathlib import Path
from typing import Any

import numpy as np

from netwright.errors import InputError
from netwright.evaluation.compare import compare_answers
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
    if first.answers.ndim != 2 or second.answers.ndim != 2:
        raise InputError("image by image only classifiers are compared yet, and these give numbers or masks")
    if first.about["fingerprint"] != second.about["fingerprint"]:
        common = _num_common(first, second)
        raise InputError(
            f"{names[0]} and {names[1]} were not judged on the same {split} images ({len(first.rows):,} and "
            f"{len(second.rows):,}, {common:,} in common), so they can't be compared image by image; train one with "
            f"--set split.manifest={folders[0].split}"
        )
    places = [_order(outputs) for outputs in (first, second)]
    right, losses = [], []
    for outputs, place in zip((first, second), places, strict=True):
        right.append((outputs.predictions == outputs.targets)[place])
        scores = outputs.answers[np.arange(len(place)), outputs.targets].astype(np.float64)
        losses.append(-np.maximum(scores, ALMOST_IMPOSSIBLE)[place])
    return compare_answers((right[0], right[1]), (losses[0], losses[1]))


def _outputs(folder: RunFolder, split: str) -> StoredOutputs:
    """Read a run's outputs. Raises InputError when it has none, with how it comes to have them."""
    path = folder.outputs_of(split)
    if not path.exists():
        look = "; this opens the test split, and the look is counted" if split == "test" else ""
        raise InputError(
            f"{folder.path} has no outputs on {split}: netwright evaluate {folder.path} --split {split}{look}"
        )
    return load_outputs(path)


def _order(outputs: StoredOutputs) -> np.ndarray:
    """Return the order in which images of equal content stand at the same place in both runs.

    By content and class name; items of a data set of one's own that are read anew have no content but their row."""
    names = np.asarray(outputs.about["class_names"])[outputs.targets]
    return np.lexsort((outputs.rows, names, outputs.samples))


def _num_common(first: StoredOutputs, second: StoredOutputs) -> int:
    """Count the images that are in both."""
    return len(np.intersect1d(first.samples, second.samples))
