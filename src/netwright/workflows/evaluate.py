"""`netwright evaluate`: the best epoch on val, on the sealed test split, or on other labelled data."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from netwright.config.recipe import Recipe
from netwright.data.discover import describe_source
from netwright.data.fingerprint import fingerprint
from netwright.data.labelled import LabelledData
from netwright.data.prepare import PreparedData, prepare_like
from netwright.data.sources import TABLE_FIELDS, as_classes, open_data
from netwright.data.splits import read_manifest
from netwright.data.views import NUM_VIEWS, with_views
from netwright.deployment.predictor import Predictor, load_predictor
from netwright.errors import DataError, InputError, listed
from netwright.evaluation.baselines import baselines
from netwright.evaluation.intervals import wilson
from netwright.evaluation.optimism import expected_optimism
from netwright.evaluation.outputs import Outputs, run_network
from netwright.evaluation.shifts import accuracy_under_shifts
from netwright.files.hashing import sha256_file
from netwright.files.sealed import write_sealed
from netwright.runs.folder import RunFolder, find_run, read_json
from netwright.runs.ledger import record_look
from netwright.runtime.machine import applied, machine_for_predictions
from netwright.tasks.classification import build_batch_loss
from netwright.workflows.build import eval_batches, open_same
from netwright.workflows.judging import keep_outputs, measure, suspect_images
from netwright.workflows.own import Own

MOST_DRAWN = 24


def evaluate(
    run: str | Path, *, split: str = "val", data: Any = None, data_root: str | None = None, shifts: bool = False
) -> dict[str, Any]:
    """Judge a run's best epoch by the run's folder or name; see `evaluate_run`."""
    return evaluate_run(find_run(run), Own(), split=split, data=data, data_root=data_root, shifts=shifts)


def evaluate_run(
    folder: RunFolder,
    own: Own,
    *,
    split: str,
    data: Any = None,
    data_root: str | None = None,
    series: str | None = None,
    shifts: bool = False,
) -> dict[str, Any]:
    """Return run, split, epoch and metrics of the best epoch; a look at test is counted in `looks`.

    `series` names the series of seeds whose one look this is part of. `shifts` adds the accuracy on images that are
    moved by 1 to 4 pixels, which takes 17 more passes.
    `data` is another labelled set of the same classes, judged in place of the run's own splits. Raises InputError when
    the run has no such split, DataError when its data have changed."""
    recipe = folder.read_recipe()
    if data_root is not None:
        recipe = recipe.replace(data=msgspec.structs.replace(recipe.data, root=data_root))
    machine = machine_for_predictions(recipe.runtime)
    with applied(machine):
        predictor = load_predictor(folder.finished_bundle(), machine, model=own.model, transform=own.transform)
        if data is None:
            prepared = _own_data(folder, own, recipe, predictor, split)
        else:
            prepared = _other_data(own, recipe, data, predictor, data_root)
            split = _split_of_other(folder, prepared)
        rows_of = "test" if split == "other" else split
        prepared = dataclasses.replace(prepared, transform=predictor.transform)
        outputs, metrics = judge(folder, own, recipe, prepared, predictor, rows_of, fitted_here=split == "val")
        if shifts:
            metrics["shifts"] = _shifts(recipe, prepared, predictor, rows_of)
        if rows_of == split:
            metrics |= _leaks_of(folder)
    result = {"run": str(folder.path), "split": split, "epoch": predictor.bundle.epoch, "metrics": metrics}
    if split == "test":  # first of all: a number that is seen is a look
        metrics["looks"] = _record(folder, prepared.split_fingerprints["test"], metrics, series)
        result["looks"] = metrics["looks"]["number"]
    if split != "other":
        keep_outputs(folder, split, outputs, prepared, predictor.bundle.epoch)
        result["plot"] = _keep(folder, split, metrics, prepared)
    return result


def _shifts(recipe: Recipe, prepared: PreparedData, predictor: Predictor, split: str) -> dict[str, Any]:
    """Return the accuracy on moved images."""
    batches = eval_batches(prepared, split, recipe, predictor.machine)
    return accuracy_under_shifts(
        lambda images: predictor.log_probabilities(images).argmax(dim=1), lambda: batches.epoch(0)
    )


def _record(folder: RunFolder, fingerprint: str, metrics: dict[str, Any], series: str | None) -> dict[str, Any]:
    """Write the look into the ledgers; return how many there were and what that does to the number."""
    known = read_json(folder.metrics) if folder.metrics.exists() else {}
    found = record_look(
        folder.path,
        fingerprint,
        accuracy=metrics["accuracy"],
        recipe=sha256_file(folder.recipe),
        weights=sha256_file(folder.weights),
        series=series,
        remembered=0 if series else known.get("test", {}).get("looks", {}).get("number", 0),
    )
    optimism = expected_optimism(metrics["accuracy"], metrics["num_samples"], found.networks)
    return {**dataclasses.asdict(found), "optimism": optimism}


def _split_of_other(folder: RunFolder, prepared: PreparedData) -> str:
    """Say what other data are: the run's own sealed `test`, or `other`. Raises InputError for what it trained on."""
    known = read_json(folder.data)
    if prepared.split_fingerprints["test"] == known["split_fingerprints"].get("test"):
        return "test"
    if prepared.fingerprint == known["fingerprint"]:
        raise InputError(
            f"these are the data that {folder.path} was trained on, its train split included; use --split val, or test"
        )
    return "other"


def judge(
    folder: RunFolder,
    own: Own,
    recipe: Recipe,
    prepared: PreparedData,
    predictor: Predictor,
    split: str,
    *,
    fitted_here: bool,
) -> tuple[Outputs, dict[str, Any]]:
    """Run the bundle's network over a split; balanced class weights are those of the run's train split.

    Of test, `without_twins` says the same of the images that have no twin in train or val, where some have one."""
    machine = predictor.machine
    task = predictor.bundle.task
    counts = torch.tensor(list(read_json(folder.data)["counts"]["train"].values()))
    batch_loss = build_batch_loss(recipe.criterion, counts, machine.device, own.criterion)
    batches = eval_batches(prepared, split, recipe, machine)
    views = predictor.transform.views
    network = with_views(predictor.network, views)
    outputs = run_network(network, batches.epoch(0), task, batch_loss, machine)
    temperature = predictor.bundle.temperature
    metrics = measure(outputs, task, recipe.criterion, counts, temperature=temperature, fitted_here=fitted_here)
    metrics["baselines"] = baselines(prepared, split, counts)
    metrics["suspects"] = suspect_images(outputs, prepared, temperature)
    metrics |= without_twins(outputs, prepared, split)
    return outputs, metrics | {"views": NUM_VIEWS[views]}


def without_twins(outputs: Outputs, prepared: PreparedData, split: str) -> dict[str, Any]:
    """Return the accuracy of test on images without a twin in train or val, where some have one."""
    alone = ~np.isin(prepared.rows[split], prepared.leaks.get("test_with_twin", []))
    if split != "test" or alone.all() or not alone.any():
        return {}
    right = (outputs.log_probabilities.numpy().argmax(1) == outputs.targets.numpy())[alone]
    interval = list(wilson(int(right.sum()), len(right)))
    return {
        "without_twins": {"accuracy": float(right.mean()), "accuracy_interval": interval, "num_samples": len(right)}
    }


def _leaks_of(folder: RunFolder) -> dict[str, int]:
    """Return how many leaks were allowed, where there are some: it is part of every result of the run."""
    allowed = read_json(folder.data).get("leaks", {}).get("allowed", 0)
    return {"leaks_allowed": allowed} if allowed else {}


def _own_data(folder: RunFolder, own: Own, recipe: Recipe, predictor: Predictor, split: str) -> PreparedData:
    """Open the run's data again and decode the one split, as it was."""
    labelled = open_own_data(folder, own, recipe)
    read_json(folder.split)  # that its seal is there and whole: a manifest of the user's own has none
    rows = read_manifest(folder.split, labelled)
    if split not in rows:
        raise InputError(f"{folder.path} has no {split} split; it has: {listed(rows)}")
    prepared = prepare_like(labelled, {split: rows[split]}, predictor.transform, own.transform)
    return dataclasses.replace(prepared, leaks=read_json(folder.data).get("leaks", {}))


def open_own_data(folder: RunFolder, own: Own, recipe: Recipe) -> LabelledData:
    """Open the run's data again, and make sure that they are the same. Raises DataError when they have changed."""
    if recipe.data.source.startswith("<") and own.data is None:
        raise InputError(f"the data of {folder.path} were your own objects; give them again: nw.load(path, data=…)")
    labelled = open_same(recipe, own, read_json(folder.split))
    known, found = read_json(folder.data)["fingerprint"], fingerprint(labelled)
    if found != known:
        raise DataError(
            f"the data of {folder.path} have changed since it was trained (fingerprint {found[:12]}, "
            f"then {known[:12]}); put them back, or judge on them as new data: --data"
        )
    return labelled


def _other_data(own: Own, recipe: Recipe, data: Any, predictor: Predictor, data_root: str | None) -> PreparedData:
    """Open other labelled data of the same classes, their test split or else all of them, as one split called test."""
    named = isinstance(data, (str, Path))
    source = str(data) if named else recipe.data.source
    section = msgspec.structs.replace(recipe.data, classes=None, group_by=None, source=source)
    if not (named and describe_source(source, training=False) == "table"):
        section = msgspec.structs.replace(section, **dict.fromkeys(TABLE_FIELDS))
    elif data_root is None:  # another table's paths begin at its own folder
        section = msgspec.structs.replace(section, root=None)
    labelled = as_classes(
        open_data(section, None if named else data, training=False), predictor.bundle.task.class_names
    )
    rows = labelled.given["test"] if "test" in labelled.given else np.concatenate(list(labelled.given.values()))
    return prepare_like(labelled, {"test": rows}, predictor.transform, own.transform)


def _keep(folder: RunFolder, split: str, metrics: dict[str, Any], prepared: PreparedData) -> str:
    """Write the metrics and the confusion matrix into the run; return the picture's path."""
    # matplotlib takes 0.4 s to load, and is not needed before the first step of a training
    from netwright.report.confusion import plot_confusion
    from netwright.report.reliability import plot_reliability

    known = read_json(folder.metrics) if folder.metrics.exists() else {}
    if split == "val" and "baselines" in known.get("val", {}):
        metrics["baselines"] = known["val"]["baselines"]  # with the neighbours, which need train's pixels
    write_sealed(folder.metrics, known | {split: metrics})
    folder.plots.mkdir(exist_ok=True)
    plot = folder.plots / f"confusion-{split}.png"
    title = f"{folder.path.name}: {split}"
    plot_confusion(metrics["confusion_matrix"], prepared.labelled.class_names, plot, title=title)
    reliability = folder.plots / f"reliability-{split}.png"
    title = f"{folder.path.name}: how sure, how right; {split}"
    plot_reliability(metrics["calibration"], reliability, title=title)
    if "shifts" in metrics:
        from netwright.report.shifts import plot_shifts

        plot_shifts(metrics["shifts"], folder.plots / f"shifts-{split}.png", title=f"{folder.path.name}: {split}")
    _draw_suspects(folder, split, metrics["suspects"]["images"][:MOST_DRAWN], prepared)
    return str(plot)


def _draw_suspects(folder: RunFolder, split: str, images: list[dict[str, Any]], prepared: PreparedData) -> None:
    """Draw the most suspect images where they are ordinary pictures; without any, remove an older picture."""
    path = folder.plots / f"suspects-{split}.png"
    store = prepared.store
    if not images or store.items is not None or store.pixels.dtype != torch.uint8:
        path.unlink(missing_ok=True)
        return
    from netwright.report.examples import plot_examples

    rows = torch.tensor([image["row"] for image in images])
    pixels = store.views(rows.to(store.pixels.device), prepared.transform).cpu()
    labels = [f"{image['label']}; {image['looks_like']}?" for image in images]
    plot_examples(list(pixels.numpy()), labels, path, title=f"{folder.path.name}: are these labels right?")
