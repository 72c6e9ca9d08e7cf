"""What the networks of several folds say of all images together: accuracy, and labels that may be wrong."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.data.labelled import LabelledData
from netwright.data.prepare import prepare_like
from netwright.deployment.predictor import load_predictor
from netwright.evaluation.intervals import wilson
from netwright.files.atomic import write_atomic
from netwright.files.sealed import write_sealed
from netwright.runs.folder import RunFolder, read_json
from netwright.runs.outputs import StoredOutputs
from netwright.runtime.machine import applied, machine_for_predictions
from netwright.tasks.temperature import tempered
from netwright.workflows.drawings import MOST_DRAWN, draw_suspects
from netwright.workflows.judging_classes import MOST_SUSPECTS, named_suspects
from netwright.workflows.own import Own
from netwright.workflows.report import report_with


def judge_folds(
    folder: RunFolder, own: Own, labelled: LabelledData, answers: Sequence[StoredOutputs], *, num_apart: int
) -> dict[str, Any]:
    """Write accuracy and suspects of all folds into the run's metrics, all suspects as CSV, the first as a picture.

    Each fold's probabilities are under its own temperature. `num_apart` images could not be judged."""
    probabilities = np.concatenate([np.exp(tempered(each.answers, each.about["temperature"])) for each in answers])
    rows = np.concatenate([each.rows for each in answers])
    order = np.argsort(rows)
    probabilities, rows = probabilities[order], rows[order]
    targets = labelled.targets[rows]
    rights = [(each.predictions == each.targets) for each in answers]
    num_right = int(sum(right.sum() for right in rights))
    found = named_suspects(probabilities, targets, rows, labelled)
    metrics = {
        "folds": len(answers),
        "accuracy": num_right / len(rows),
        "accuracy_interval": list(wilson(num_right, len(rows))),
        "num_samples": len(rows),
        "fold_accuracies": [float(right.mean()) for right in rights],
        "not_judged": num_apart,
        "suspects": {"num_suspects": len(found), "images": found[:MOST_SUSPECTS]},
    }
    paths = {"list": str(_write_list(folder.path / "folds" / "suspects.csv", found))}
    known = read_json(folder.metrics) if folder.metrics.exists() else {}
    write_sealed(folder.metrics, known | {"folds": metrics})
    return {"run": str(folder.path), "folds": len(answers), "interrupted": False, "metrics": metrics} | (
        paths | _draw(folder, own, labelled, found)
    )


def _write_list(path: Path, found: Sequence[dict[str, Any]]) -> Path:
    """Write all suspects as CSV, the most suspect first."""
    file = io.StringIO()
    names = ("source", "label", "looks_like", "label_probability", "probability")
    writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**each, **{key: f"{each[key]:.4f}" for key in names[3:]}} for each in found)
    write_atomic(path, file.getvalue().encode("utf-8", "surrogateescape"))
    return path


def _draw(folder: RunFolder, own: Own, labelled: LabelledData, found: list[dict[str, Any]]) -> dict[str, str]:
    """Draw the most suspect images, and the report anew where there is one; return their paths."""
    recipe = folder.read_recipe()
    machine = machine_for_predictions(recipe.runtime)
    paths: dict[str, str] = {}
    with applied(machine):
        predictor = load_predictor(folder.finished_bundle(), machine, model=own.model, transform=own.transform)
        if found:
            shown = np.sort(np.array([each["row"] for each in found[:MOST_DRAWN]], dtype=np.int64))
            prepared = prepare_like(labelled, {"folds": shown}, predictor.transform, own.transform)
            plot = draw_suspects(folder, "folds", found, prepared)
            paths |= {"plot": str(plot)} if plot else {}
        else:
            (folder.plots / "suspects-folds.png").unlink(missing_ok=True)
        if folder.report.exists():
            paths["report"] = str(report_with(folder, own, predictor, labelled))
    return paths
