"""`netwright evaluate`: the best epoch on val, on the sealed test split, or on other labelled data."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from netwright.config.recipe import Recipe
from netwright.data.prepare import PreparedData, prepare_like
from netwright.data.sources import as_classes, open_data
from netwright.deployment.predictor import Predictor, load_predictor
from netwright.errors import DataError, InputError, listed
from netwright.evaluation.metrics import classification_metrics
from netwright.evaluation.outputs import run_network
from netwright.files.atomic import write_json
from netwright.files.hashing import sha256_file
from netwright.report.confusion import plot_confusion
from netwright.runs.folder import read_json
from netwright.runs.ledger import record_look
from netwright.runtime.machine import applied, choose_machine
from netwright.tasks.classification import build_batch_loss
from netwright.workflows.build import count_classes, eval_batches, open_prepared
from netwright.workflows.run import Run, as_run


def evaluate(
    run: "str | Path | Run", *, split: str = "val", data: Any = None, data_root: str | None = None
) -> dict[str, Any]:
    """Judge a run's best epoch; see `Run.evaluate`. Raises InputError when the run has no such split."""
    return evaluate_run(as_run(run), split=split, data=data, data_root=data_root)


def evaluate_run(run: Run, *, split: str, data: Any = None, data_root: str | None = None) -> dict[str, Any]:
    """Return run, split, epoch and metrics; a look at test is counted in `looks`."""
    recipe = run.recipe
    if data_root is not None:
        recipe = recipe.replace(data=msgspec.structs.replace(recipe.data, root=data_root))
    machine = choose_machine(recipe.runtime)
    with applied(machine):
        predictor = load_predictor(run.folder.bundle, machine, model=run.own.model, transform=run.own.transform)
        prepared = _other_data(run, recipe, data, predictor) if data is not None else _own_data(run, recipe)
        name = "other" if data is not None else split
        rows_of = "test" if data is not None else split
        if rows_of not in prepared.rows:
            raise InputError(f"{run.path} has no {split} split; it has: {listed(prepared.rows)}")
        prepared = dataclasses.replace(prepared, transform=predictor.transform)
        metrics = judge(run, recipe, prepared, predictor, rows_of)
    result = {"run": str(run.path), "split": name, "epoch": predictor.bundle.epoch, "metrics": metrics}
    if data is None:
        result |= _keep(run, split, metrics, prepared)
    return result


def judge(run: Run, recipe: Recipe, prepared: PreparedData, predictor: Predictor, split: str) -> dict[str, Any]:
    """Run the bundle's network over a split and draw its confusion matrix in the run's plots."""
    machine = predictor.machine
    task = predictor.bundle.task
    counts = count_classes(prepared, "train" if "train" in prepared.rows else split)
    batch_loss = build_batch_loss(recipe.criterion, counts, machine.device, run.own.criterion)
    batches = eval_batches(prepared, split, recipe, machine)
    outputs = run_network(predictor.network, batches.epoch(0), task, batch_loss, machine)
    return classification_metrics(
        outputs.log_probabilities.numpy(), outputs.targets.numpy(), task.class_names, loss=outputs.loss
    )


def _own_data(run: Run, recipe: Recipe) -> PreparedData:
    """Open the run's data again, split as it was, and make sure that they are the same."""
    split = msgspec.structs.replace(recipe.split, manifest=str(run.folder.split))
    prepared = open_prepared(recipe.replace(split=split), run.own)
    known = read_json(run.folder.data)["fingerprint"]
    if prepared.fingerprint != known:
        raise DataError(
            f"the data of {run.path} have changed since it was trained (fingerprint {prepared.fingerprint[:12]}, then "
            f"{known[:12]}); put them back, or judge on them as new data: --data"
        )
    return prepared


def _other_data(run: Run, recipe: Recipe, data: Any, predictor: Predictor) -> PreparedData:
    """Open other labelled data of the same classes, their test split or else all of them, as one split called test."""
    named = isinstance(data, (str, Path))
    section = msgspec.structs.replace(recipe.data, classes=None, source=str(data) if named else recipe.data.source)
    labelled = as_classes(open_data(section, None if named else data), predictor.bundle.task.class_names)
    rows = labelled.given["test"] if "test" in labelled.given else np.concatenate(list(labelled.given.values()))
    return prepare_like(labelled, {"test": rows}, predictor.transform, run.own.transform)


def _keep(run: Run, split: str, metrics: dict[str, Any], prepared: PreparedData) -> dict[str, Any]:
    """Write the metrics and the plot into the run; count a look at the test split."""
    known = read_json(run.folder.metrics) if run.folder.metrics.exists() else {}
    write_json(run.folder.metrics, known | {split: metrics})
    run.folder.plots.mkdir(exist_ok=True)
    plot = run.folder.plots / f"confusion-{split}.png"
    title = f"{run.path.name}: {split}"
    plot_confusion(metrics["confusion_matrix"], prepared.labelled.class_names, plot, title=title)
    kept: dict[str, Any] = {"plot": str(plot)}
    if split == "test":
        fingerprint = prepared.split_fingerprints["test"]
        kept["looks"] = record_look(run.path, fingerprint, metrics["accuracy"], sha256_file(run.folder.recipe))
    return kept
