"""`netwright report`: everything that is known of a run, as one HTML file that needs nothing else."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import nn

from netwright.data.labelled import LabelledData
from netwright.data.prepare import PreparedData, prepare_like
from netwright.deployment.predictor import Predictor, load_predictor
from netwright.errors import InputError, NetwrightError
from netwright.files.atomic import explained, write_atomic
from netwright.report.masks_shown import masks_shown
from netwright.report.numbers_shown import numbers_shown
from netwright.report.page import Extras, Panel, Picture, notable, render
from netwright.report.records import Records, read_records
from netwright.runs.folder import RunFolder, find_run
from netwright.runtime.machine import Machine, applied, machine_for_predictions
from netwright.tasks.segmentation import Segmentation
from netwright.tasks.task import Task
from netwright.workflows.inside import layers_of, look_inside
from netwright.workflows.mask_pictures import mask_pictures
from netwright.workflows.own import Own
from netwright.workflows.reopen import open_own_data
from netwright.workflows.thumbnails import thumbnails

MOST_SUSPECTS = 12
Pictures = Mapping[str, Mapping[int, Picture]]


def report(run: str | Path, *, out: str | Path | None = None) -> Path:
    """Write the report of a run, by its folder or name; return the file: `out`, or report.html in the run's folder."""
    return report_of(find_run(run), Own(), out=None if out is None else Path(out))


def report_of(folder: RunFolder, own: Own, *, out: Path | None = None) -> Path:
    """Write a run's report with all that its records, its data and its network say; return the file.

    Where the data or the network can't be opened, the records alone make it, and it says why."""
    records = read_records(folder)
    extras = Extras()
    if records.state == "done" and folder.bundle.exists():
        try:
            extras = _look(folder, own, records)
        except NetwrightError as error:
            extras = Extras(missing=f"Without pictures: {str(error).splitlines()[0]}")
    return _write(records, extras, out or folder.report)


def report_at_the_end(
    folder: RunFolder, prepared: PreparedData, network: nn.Module, task: Task, machine: Machine
) -> Path:
    """Write the report that a training leaves, from what it has just recorded and decoded, without another pass."""
    records = read_records(folder, state="done")
    wanted = _wanted(records)
    there = {split: rows for split, rows in wanted.items() if split in prepared.rows}
    if isinstance(task, Segmentation):
        pictures = {split: mask_pictures(prepared, rows, network, task, machine) for split, rows in there.items()}
    else:
        pictures = {split: thumbnails(prepared, rows) for split, rows in there.items()}
    rest = f"netwright report {shlex.quote(str(folder.path))}"
    return _write(records, Extras(pictures, layers_of(network, prepared.input_shape), rest=rest), folder.report)


def report_with(folder: RunFolder, own: Own, predictor: Predictor, labelled: LabelledData) -> Path:
    """Write the report of a run whose network and data are open already; return the file."""
    records = read_records(folder)
    try:
        extras = _found(own, records, predictor, labelled)
    except NetwrightError as error:
        extras = Extras(missing=f"Without pictures: {str(error).splitlines()[0]}")
    return _write(records, extras, folder.report)


def _look(folder: RunFolder, own: Own, records: Records) -> Extras:
    """Open the data and the network of a finished run, and take from them what the report shows."""
    machine = machine_for_predictions(folder.read_recipe().runtime)
    with applied(machine):
        predictor = load_predictor(folder.finished_bundle(), machine, model=own.model, transform=own.transform)
        labelled, missing = _open(folder, own)
        return _found(own, records, predictor, labelled, missing)


def _found(
    own: Own, records: Records, predictor: Predictor, labelled: LabelledData | None, missing: str = ""
) -> Extras:
    """Take from the network and the data what the report shows; `missing` says why there are no data."""
    pictures = {} if labelled is None else _pictures(labelled, own, records, predictor)
    inside = look_inside(predictor, labelled, own, records.outputs.get("val"))
    if inside.sheets and inside.missing:  # without any sheet it is a network without convolution
        missing = " ".join([missing, f"Without Grad-CAM: {inside.missing[0]}."]).strip()
    panels = [
        Panel(
            sheet.title,
            sheet.text,
            [(Picture(png, width, height), words) for png, width, height, words in sheet.pictures],
        )
        for sheet in inside.sheets
    ]
    return Extras(pictures, inside.layers, panels, missing)


def _open(folder: RunFolder, own: Own) -> tuple[LabelledData | None, str]:
    """Open the run's data, or say why they can't be."""
    try:
        return open_own_data(folder, own, folder.read_recipe()), ""
    except NetwrightError as error:
        return None, f"Without pictures: {str(error).splitlines()[0]}"


def _pictures(labelled: LabelledData, own: Own, records: Records, predictor: Predictor) -> Pictures:
    """Decode only the images that are shown."""
    wanted = {split: rows for split, rows in _wanted(records).items() if rows}
    if not wanted:
        return {}
    shown = np.unique(np.array([row for rows in wanted.values() for row in rows], dtype=np.int64))
    prepared = prepare_like(labelled, {"shown": shown}, predictor.transform, own.transform)
    task, network, machine = predictor.bundle.task, predictor.network, predictor.machine
    if isinstance(task, Segmentation):
        return {split: mask_pictures(prepared, rows, network, task, machine) for split, rows in wanted.items()}
    return {split: thumbnails(prepared, rows) for split, rows in wanted.items()}


def _wanted(records: Records) -> dict[str, list[int]]:
    """Return the rows of each judged split whose images the report shows."""
    answers, numbers, masks = notable(records), numbers_shown(records), masks_shown(records)
    found = {}
    for split in records.judged:
        suspects = records.metrics[split].get("suspects") or {}
        rows = {int(each["row"]) for each in suspects.get("images", [])[:MOST_SUSPECTS]}
        rows |= {one["row"] for one in numbers[split]["worst"]} if split in numbers else set()
        rows |= {one["row"] for one in masks.get(split, ())}
        found[split] = sorted(rows | set(answers[split].rows if split in answers else ()))
    in_folds = (records.metrics.get("folds") or {}).get("suspects") or {}
    rows = {int(each["row"]) for each in in_folds.get("images", [])[:MOST_SUSPECTS]}
    return found | ({"folds": sorted(rows)} if rows else {})


def _write(records: Records, extras: Extras, path: Path) -> Path:
    content = render(records, extras)
    if path.is_dir():
        raise InputError(f"{path} is a folder; --out expects a file, such as {path / 'report.html'}")
    with explained(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    return path
