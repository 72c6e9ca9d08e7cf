"""`netwright evaluate`: the best epoch on val, on the sealed test split, or on other labelled data."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from netwright.config.sections import Split
from netwright.data.batches import Batches
from netwright.data.prepare import PreparedData
from netwright.deployment.predictor import Predictor, load_predictor
from netwright.errors import InputError
from netwright.evaluation.outputs import Outputs
from netwright.evaluation.shifts import accuracy_under_shifts
from netwright.files.hashing import sha256_file
from netwright.files.sealed import write_sealed
from netwright.runs.folder import RunFolder, read_json
from netwright.runs.ledger import record_look
from netwright.runtime.machine import applied, machine_for_predictions
from netwright.workflows.build import eval_batches
from netwright.workflows.drawings import draw_judged
from netwright.workflows.evaluate_bundle import evaluate_bundle
from netwright.workflows.judging import JUDGINGS, Judging, judge, keep_outputs
from netwright.workflows.own import Own
from netwright.workflows.predict import locate
from netwright.workflows.reopen import open_neighbours, open_other_data, open_own_split
from netwright.workflows.report import report_with


def evaluate(
    run: str | Path,
    *,
    split: str = "val",
    data: Any = None,
    masks: str | None = None,
    data_root: str | None = None,
    shifts: bool = False,
) -> dict[str, Any]:
    """Judge a run's best epoch by the run's folder or name, see `evaluate_run`; or a lone bundle on `data`."""
    if masks is not None and data is None:
        raise InputError(f"--masks are those of other images; give these too: --data IMAGES --masks {masks}")
    bundle, folder = locate(run)
    if folder is None:
        if split != "val":
            raise InputError(f"{bundle} is a bundle, which has no {split} split; give labelled images: --data OTHER")
        return evaluate_bundle(bundle, data=data, masks=masks, data_root=data_root, shifts=shifts)
    return evaluate_run(folder, Own(), split=split, data=data, masks=masks, data_root=data_root, shifts=shifts)


def evaluate_run(
    folder: RunFolder,
    own: Own,
    *,
    split: str,
    data: Any = None,
    masks: str | None = None,
    data_root: str | None = None,
    series: str | None = None,
    shifts: bool = False,
) -> dict[str, Any]:
    """Return run, split, epoch and metrics of the best epoch; a look at test is counted in `looks`.

    `series` names the series of seeds whose one look this is part of. `shifts` adds the accuracy on images that are
    moved by 1 to 4 pixels, which takes 17 more passes.
    `data` is another labelled set of the same classes (and `masks` its masks), judged in place of the run's own splits.
    Raises InputError when
    the run has no such split, DataError when its data have changed."""
    recipe = folder.read_recipe()
    if data_root is not None:
        recipe = recipe.replace(data=msgspec.structs.replace(recipe.data, root=data_root))
    machine = machine_for_predictions(recipe.runtime)
    with applied(machine):
        predictor = load_predictor(folder.finished_bundle(), machine, model=own.model, transform=own.transform)
        if data is None:
            prepared = open_own_split(folder, own, recipe, predictor, split)
        else:
            prepared = open_other_data(
                recipe.data, own, data, predictor, data_root, Split(by_time=recipe.split.by_time), masks
            )
            split = _split_of_other(folder, prepared)
        rows_of = "test" if split == "other" else split
        prepared = dataclasses.replace(prepared, transform=predictor.transform, leaks=_leaks_of(folder, split))
        # val's are in the metrics since the training, which had train's pixels at hand
        train = None if split == "val" else open_neighbours(folder, own, recipe, predictor)
        outputs, metrics = judge(
            folder, own, recipe, prepared, predictor, rows_of, fitted_here=split == "val", train=train
        )
        if shifts:
            if predictor.bundle.task.name != "classification":
                raise InputError(
                    "--shifts counts images whose class changes, and this network names none; leave it out"
                )
            batches = eval_batches(prepared, rows_of, recipe, machine)
            metrics["shifts"] = measure_shifts(predictor, batches)
        result = {"run": str(folder.path), "split": split, "epoch": predictor.bundle.epoch, "metrics": metrics}
        if split == "other":
            return result
        if split == "test":  # first of all: a number that is seen is a look
            metrics["looks"] = _record(
                folder, prepared.split_fingerprints["test"], metrics, series, JUDGINGS[predictor.bundle.task.name]
            )
            result["looks"] = metrics["looks"]["number"]
        metrics |= {"leaks_allowed": allowed} if (allowed := prepared.leaks.get("allowed")) else {}
        result |= _keep(folder, own, split, metrics, prepared, outputs, predictor)
    return result


def measure_shifts(predictor: Predictor, batches: Batches) -> dict[str, Any]:
    """Return the accuracy on moved images."""
    return accuracy_under_shifts(lambda images: predictor.answers(images).argmax(dim=1), lambda: batches.epoch(0))


def _record(
    folder: RunFolder, fingerprint: str, metrics: dict[str, Any], series: str | None, judging: Judging
) -> dict[str, Any]:
    """Write the look into the ledgers; return how many there were and what that does to the number."""
    known = read_json(folder.metrics) if folder.metrics.exists() else {}
    found = record_look(
        folder.path,
        fingerprint,
        numbers={judging.headline: metrics[judging.headline]},
        recipe=sha256_file(folder.recipe),
        weights=sha256_file(folder.weights),
        series=series,
        remembered=0 if series else known.get("test", {}).get("looks", {}).get("number", 0),
    )
    return {**dataclasses.asdict(found), "optimism": judging.optimism(metrics, found.networks)}


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


def _leaks_of(folder: RunFolder, split: str) -> dict[str, Any]:
    """Return what the leak gate found when the run began; of other data it says nothing."""
    return {} if split == "other" else dict(read_json(folder.data).get("leaks", {}))


def _keep(
    folder: RunFolder,
    own: Own,
    split: str,
    metrics: dict[str, Any],
    prepared: PreparedData,
    outputs: Outputs,
    predictor: Predictor,
) -> dict[str, str]:
    """Write metrics, outputs and plots into the run, and its report anew where it has one; return their paths."""
    known = read_json(folder.metrics) if folder.metrics.exists() else {}
    if split == "val" and "baselines" in known.get("val", {}):
        metrics["baselines"] = known["val"]["baselines"]  # with the neighbours, which need train's pixels
    task = predictor.bundle.task
    keep_outputs(folder, split, outputs, prepared, predictor.bundle.epoch, task)
    write_sealed(folder.metrics, known | {split: metrics})
    paths = {"plot": draw_judged(folder, split, metrics, prepared, task)}
    if folder.report.exists():
        paths["report"] = str(report_with(folder, own, predictor, prepared.labelled))
    return paths
