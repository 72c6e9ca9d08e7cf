"""`netwright evaluate`: the best epoch on val, on the sealed test split, or on other labelled data."""

import dataclasses
from pathlib import Path
from typing import Any

from netwright.config.recipe import Recipe
from netwright.data.prepare import PreparedData, prepare
from netwright.data.sources import open_data
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
from netwright.workflows.build import class_counts, eval_batches, open_prepared
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
        recipe = recipe.replace(data=_with(recipe.data, root=data_root))
    machine = choose_machine(recipe.runtime)
    with applied(machine):
        predictor = load_predictor(
            run.folder.bundle, machine, model=run.own.model, transform=run.own.transform
        )
        prepared = _other_data(recipe, data, predictor) if data is not None else _own_data(run, recipe)
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
    counts = class_counts(prepared, "train" if "train" in prepared.rows else split)
    batch_loss = build_batch_loss(recipe.criterion, counts, machine.device, run.own.criterion)
    batches = eval_batches(prepared, split, recipe, machine)
    outputs = run_network(predictor.network, batches.epoch(0), task, batch_loss, machine)
    return classification_metrics(
        outputs.log_probabilities.numpy(), outputs.targets.numpy(), task.class_names, loss=outputs.loss
    )


def _own_data(run: Run, recipe: Recipe) -> PreparedData:
    """Open the run's data again, split as it was, and make sure that they are the same."""
    split = _with(recipe.split, manifest=str(run.folder.split))
    prepared = open_prepared(recipe.replace(split=split), run.own)
    known = read_json(run.folder.data)["fingerprint"]
    if prepared.fingerprint != known:
        raise DataError(
            f"the data of {run.path} have changed since it was trained (fingerprint {prepared.fingerprint[:12]}, then "
            f"{known[:12]}); put them back, or judge on them as new data: --data"
        )
    return prepared


def _other_data(recipe: Recipe, data: Any, predictor: Predictor) -> PreparedData:
    """Open other labelled data of the same classes as one split called test."""
    source = {"source": str(data), "classes": None} if isinstance(data, (str, Path)) else {}
    height, width = predictor.transform.image_size
    recipe = recipe.replace(data=_with(recipe.data, image_size=(height, width), **source))
    labelled = open_data(recipe.data, None if isinstance(data, (str, Path)) else data, class_names=predictor.bundle.task.class_names)
    rows = labelled.given.get("test", labelled.given.get("all"))
    if rows is None:
        rows = labelled.given["val"] if "val" in labelled.given else labelled.given["train"]
    return prepare(labelled, {"test": rows}, recipe, fixed=predictor.transform)


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


def _with(section: Any, **changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(section, **changes)
