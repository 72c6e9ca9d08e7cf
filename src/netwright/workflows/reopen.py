"""A run's data opened again, and other data opened for it: the same images, or a refusal that says why not."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from netwright.config.recipe import Recipe
from netwright.config.sections import Data, Split
from netwright.data.discover import TABLE_SUFFIXES, describe_source
from netwright.data.fingerprint import fingerprint
from netwright.data.labelled import LabelledData
from netwright.data.prepare import PreparedData, prepare_like
from netwright.data.sources import TABLE_FIELDS, as_classes, open_data
from netwright.data.splits import read_manifest
from netwright.deployment.predictor import Predictor
from netwright.errors import DataError, InputError, NetwrightError, listed
from netwright.evaluation.baselines import neighbour_rows
from netwright.runs.folder import RunFolder, read_json
from netwright.workflows.build import open_same
from netwright.workflows.own import Own


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


def open_own_split(folder: RunFolder, own: Own, recipe: Recipe, predictor: Predictor, split: str) -> PreparedData:
    """Open the run's data again and decode the one split, as it was. Raises InputError when there is no such split."""
    labelled = open_own_data(folder, own, recipe)
    read_json(folder.split)  # that its seal is there and whole: a manifest of the user's own has none
    rows = read_manifest(folder.split, labelled)
    if split not in rows:
        raise InputError(f"{folder.path} has no {split} split; it has: {listed(rows)}")
    prepared = prepare_like(labelled, {split: rows[split]}, predictor.transform, own.transform)
    return dataclasses.replace(prepared, leaks=read_json(folder.data).get("leaks", {}))


def open_neighbours(folder: RunFolder, own: Own, recipe: Recipe, predictor: Predictor) -> PreparedData | None:
    """Decode the images of train among which a split's nearest neighbours are looked for; None where they are gone."""
    try:
        labelled = open_own_data(folder, own, recipe)
        train = read_manifest(folder.split, labelled)["train"]
        height, width = predictor.transform.store_size
        rows = neighbour_rows(train, height * width * predictor.transform.channels)
        return prepare_like(labelled, {"train": rows}, predictor.transform, own.transform)
    except NetwrightError:  # the run's own images are not at hand: other images can be judged without them
        return None


def _is_table(source: str, of_masks: bool) -> bool:
    """Say whether data are a table; images with masks need no folder a class."""
    if of_masks:
        return Path(source).suffix.lower() in TABLE_SUFFIXES
    return describe_source(source, training=False) == "table"


def open_other_data(
    section: Data,
    own: Own,
    data: Any,
    predictor: Predictor,
    data_root: str | None = None,
    split: Split | None = None,
    masks: str | None = None,
) -> PreparedData:
    """Open other labelled data of the same classes, their test split or else all of them, as one split called test.

    `section` is the recipe's of the run: how arrays are to be read; of `split` the column of time. The columns of a
    table are what they were in training, whatever they look like now. `masks` are the folder or column of the other
    images' masks; null: the column of the run, or the masks/ beside images/ in their folder."""
    named = isinstance(data, (str, Path))
    source = str(data) if named else section.source
    section = msgspec.structs.replace(section, classes=None, group_by=None, source=source)
    if not (named and _is_table(source, section.masks is not None)):
        section = msgspec.structs.replace(section, **dict.fromkeys(TABLE_FIELDS))
    elif data_root is None:  # another table's paths begin at its own folder
        section = msgspec.structs.replace(section, root=None)
    task = predictor.bundle.task
    if masks is not None and section.masks is None:
        raise InputError(f"--masks is for networks that give masks, and this one was trained for {task.name}")
    if masks is not None:
        section = msgspec.structs.replace(section, masks=masks)
    elif section.masks is not None and named and Path(source).is_dir():  # it holds its own: images/ and masks/
        section = msgspec.structs.replace(section, masks=source)
    table = predictor.transform.table
    if table is not None:
        kinds: dict[str, str] = {column.name: column.kind for column in table.columns}
        section = msgspec.structs.replace(section, columns={**kinds, "*": "ignore"}, allow_leaks=True)
    labelled = open_data(section, None if named else data, training=False, split=split)
    if labelled.task != task.name:
        raise DataError(f"{labelled.name} is for {labelled.task}, and the network was trained for {task.name}")
    labelled = as_classes(labelled, task.class_names)
    rows = labelled.given["test"] if "test" in labelled.given else np.concatenate(list(labelled.given.values()))
    return prepare_like(labelled, {"test": rows}, predictor.transform, own.transform)
