"""From what the recipe or the caller names to labelled data: the one entrance to this room."""

from dataclasses import replace
from typing import Any

import numpy as np

from netwright.config.sections import Data, Split
from netwright.data.discover import Kind, as_path, describe_source
from netwright.data.folders import open_folder
from netwright.data.given import open_given
from netwright.data.groups import with_groups
from netwright.data.labelled import LabelledData, Rows
from netwright.data.masks.given import holds_masks, open_given_masks
from netwright.data.masks.open import open_masked
from netwright.data.named import open_named
from netwright.data.npz import open_npz
from netwright.data.registered import is_registered, registered_data
from netwright.data.row_tables import open_rows
from netwright.data.table_files import open_table
from netwright.errors import DataError, did_you_mean, listed

TABLE_FIELDS = ("path_column", "label_column", "split_column")


def open_data(
    data: Data, given: object | None = None, *, training: bool = True, split: Split | None = None
) -> LabelledData:
    """Open the data that `data.source` names (of ours or registered), or those given, reduced to `data.classes`.

    `given`: (images, targets), a map-style torch Dataset, or a dict of either with train, val, test.
    With `data.target` they are the rows of a table, or of a DataFrame; `split` may name its column of time.
    Without `training` they need no train split and no second class: enough to judge on.
    Raises DataError for data that can't be used, MachineError when a download fails."""
    if given is None and is_registered(data.source):
        given = registered_data(data.source)
    if data.target is not None:
        rows = open_rows(_table_of(data, given), data, split or Split(), training=training)
        labelled = _keep_classes(rows, data.classes)
    else:
        labelled = _keep_classes(with_groups(_open(data, given, training), data.group_by), data.classes)
    return _CHECKS[labelled.task](labelled) if training else labelled


def _open(data: Data, given: object | None, training: bool) -> LabelledData:
    value_range = None if data.value_range is None else (float(data.value_range[0]), float(data.value_range[1]))
    if data.masks is not None and given is None:
        return open_masked(data, value_range, training=training)
    if given is not None and (data.masks is not None or holds_masks(given)):
        return open_given_masks(given, data, value_range, training=training)
    if given is not None:
        return open_given(given, value_range, training=training)
    kind = describe_source(data.source, training=training)
    _check_columns(data, kind)
    if kind == "named":
        if value_range not in (None, (0.0, 255.0)):
            raise DataError(
                f"`data.value_range` is for arrays of floats, and {data.source} has 8-bit images; leave it out"
            )
        return open_named(data.source, data.root)
    path = as_path(data.source)
    if kind == "table":
        return open_table(path, data, value_range, training=training)
    if kind == "npz":
        return open_npz(path, value_range, training=training, group_by=data.group_by)
    return open_folder(path, value_range, training=training)


def _table_of(data: Data, given: object | None) -> Any:
    """Return the path of a table, or a DataFrame. Raises DataError for anything else."""
    if given is not None:
        if not (hasattr(given, "columns") and hasattr(given, "__getitem__")):
            raise DataError(f"`data.target` is for the rows of a table, and a {type(given).__name__} is none")
        return given
    if describe_source(data.source) != "table":
        raise DataError(
            f"`data.target` is for the rows of a table, and {data.source} is none; give a .csv, .tsv or .parquet"
        )
    return as_path(data.source)


def _check_columns(data: Data, kind: Kind) -> None:
    for field in TABLE_FIELDS:
        if kind != "table" and getattr(data, field) is not None:
            raise DataError(
                f"`data.{field}` is for tables of paths and labels, and {data.source} is none; leave it out"
            )


def _keep_classes(labelled: LabelledData, classes: tuple[str, ...] | None) -> LabelledData:
    """Keep some classes only, renumbered in the order in which they are named."""
    if classes is None:
        return labelled
    known = labelled.class_names
    if labelled.task != "classification":
        what = "numbers" if not known else "masks, whose classes `data.mask_classes` names"
        raise DataError(f"`data.classes` names classes of images, and {labelled.name} has {what}; leave it out")
    for name in classes:
        if name not in known:
            hint = did_you_mean(name, known)
            raise DataError(
                f"`data.classes` names {name!r}, which {labelled.name} does not have{hint}; "
                f"classes: {listed(known, 20)}"
            )
    renumbered = np.full(len(known), -1, dtype=np.int64)
    for position, name in enumerate(classes):
        renumbered[known.index(name)] = position
    targets = renumbered[labelled.targets]
    rows = np.flatnonzero(targets >= 0).astype(np.int64)
    return replace(
        labelled,
        class_names=tuple(classes),
        images=labelled.images.take(rows),
        targets=targets[rows],
        sample_names=[labelled.sample_names[int(row)] for row in rows],
        given=_given_after(labelled.given, rows, len(labelled)),
        groups=None if labelled.groups is None else labelled.groups[rows],
        times=None if labelled.times is None else labelled.times[rows],
    )


def as_classes(labelled: LabelledData, class_names: tuple[str, ...]) -> LabelledData:
    """Number other data's classes as a trained network does. Raises DataError for classes that it does not know."""
    if labelled.task != "classification":
        return _with_same_masks(labelled, class_names)
    present = np.flatnonzero(np.bincount(labelled.targets, minlength=len(labelled.class_names)))
    unknown = [labelled.class_names[number] for number in present if labelled.class_names[number] not in class_names]
    if unknown:
        raise DataError(
            f"{labelled.name} has classes that the network does not know: {listed(unknown)}; "
            f"it knows {listed(class_names)}"
        )
    place = {name: number for number, name in enumerate(class_names)}
    numbers = np.array([place.get(name, -1) for name in labelled.class_names], dtype=np.int64)
    return replace(labelled, class_names=class_names, targets=numbers[labelled.targets])


def _with_same_masks(labelled: LabelledData, class_names: tuple[str, ...]) -> LabelledData:
    if labelled.masks is not None and labelled.class_names != class_names:
        raise DataError(
            f"the masks of {labelled.name} have the classes {listed(labelled.class_names)}, and the network knows "
            f"{listed(class_names)}; say which value is which: data.mask_classes"
        )
    return labelled


def _given_after(given: dict[str, Rows], rows: Rows, count: int) -> dict[str, Rows]:
    position = np.full(count, -1, dtype=np.int64)
    position[rows] = np.arange(len(rows))
    moved = {split: position[part] for split, part in given.items()}
    kept = {split: part[part >= 0] for split, part in moved.items()}
    return {split: part for split, part in kept.items() if len(part)}


def _check_training_numbers(labelled: LabelledData) -> LabelledData:
    """Raise DataError when there is nothing to train on, or only one number."""
    first = "train" if "train" in labelled.given else "all"
    if first not in labelled.given:
        raise DataError(f"{labelled.name} has {listed(labelled.given)} and nothing to train on; add train images")
    numbers = labelled.targets[labelled.given[first]]
    if numbers.min() == numbers.max():
        raise DataError(f"{labelled.name} has one number only, {numbers[0]:g}, in train; there is nothing to learn")
    return labelled


def _check_training_classes(labelled: LabelledData) -> LabelledData:
    """Raise DataError when fewer than two classes have images, or one has some only outside train."""
    num_classes = len(labelled.class_names)
    counts = np.bincount(labelled.targets, minlength=num_classes)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        only = f", {labelled.class_names[present[0]]!r}" if len(present) else ""
        raise DataError(f"{labelled.name} has images of one class only{only}; a classifier needs two or more")
    first = "train" if "train" in labelled.given else "all"
    if first not in labelled.given:
        raise DataError(f"{labelled.name} has {listed(labelled.given)} and nothing to train on; add train images")
    trained = np.bincount(labelled.targets[labelled.given[first]], minlength=num_classes)
    unseen = [labelled.class_names[c] for c in np.flatnonzero((counts > 0) & (trained == 0))]
    if unseen:
        raise DataError(
            f"{labelled.name} has classes with no training images: {listed(unseen)}; add some or leave them out"
        )
    absent = [labelled.class_names[c] for c in np.flatnonzero(counts == 0)]
    said = (f"classes without any image: {listed(absent)}",) if absent else ()
    return replace(labelled, notices=labelled.notices + said)


def _checked_already(labelled: LabelledData) -> LabelledData:
    """Masks are checked when they are opened, see `masks.open`."""
    return labelled


_CHECKS = {
    "classification": _check_training_classes,
    "regression": _check_training_numbers,
    "segmentation": _checked_already,
}
