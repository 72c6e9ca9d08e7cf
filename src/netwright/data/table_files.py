"""Labelled data from a table of paths and labels."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from netwright.config.sections import Data
from netwright.config.tasks import TaskName
from netwright.data.cell_numbers import are_measured, as_numbers
from netwright.data.columns import Columns, choose_columns
from netwright.data.groups import number_groups
from netwright.data.labelled import SPLITS, FileImages, LabelledData, Rows
from netwright.data.listing import SPLIT_FOLDERS
from netwright.data.tables import Table, read_table
from netwright.data.texts import Paths, Texts
from netwright.errors import DataError, did_you_mean, listed


def open_table(
    path: Path, data: Data, value_range: tuple[float, float] | None, *, training: bool = True
) -> LabelledData:
    """Read a table of paths and labels, classes or numbers (`data.task`); nothing is decoded yet.

    Paths begin at `data.root`, else at the table's folder. Rows without a label, and a path's second row with the same
    label, are left out with a notice. Raises DataError when columns can't be told, a path has two labels or splits, or
    no file is where the table says."""
    table = read_table(path)
    columns = choose_columns(table, data, path.name)
    root = path.parent if data.root is None else Path(data.root)
    kept, notices = _rows_in_use(table, columns, path.name)
    names = [_as_here(table.columns[columns.path][row], root) for row in kept]
    if not any((root / name).exists() for name in names):
        raise DataError(_nowhere(names, root, path))
    labels = [unicodedata.normalize("NFC", table.columns[columns.label][row]) for row in kept]
    known = Texts(names)
    images = FileImages(Paths(root, known), value_range)
    task: TaskName = "classification"
    class_names: tuple[str, ...] = ()
    if data.task == "regression" or (data.task == "auto" and are_measured(labels)):
        task = "regression"
        targets = as_numbers(labels, [table.places[row] for row in kept], columns.label, path.name)
    else:
        class_names, targets = _as_classes(labels, path.name, training)
    said = _said(columns, root, data, "labels" if class_names else "numbers")
    return LabelledData(
        name=path.stem,
        class_names=class_names,
        images=images,
        targets=targets,
        sample_names=known,
        given=_given(table, columns, kept, path.name),
        notices=(said, *notices),
        groups=_groups(table, data.group_by, kept, path.name),
        task=task,
        target=columns.label,
    )


def _as_classes(labels: Sequence[str], name: str, training: bool) -> tuple[tuple[str, ...], Rows]:
    """Return the classes in order and each label's number (N,)."""
    class_names = _ordered(set(labels))
    if len(class_names) < 2 and training:
        raise DataError(f"{name} has one label only, {class_names[0]!r}; a classifier needs two or more classes")
    _check_case(class_names, name)
    number = {label: place for place, label in enumerate(class_names)}
    return class_names, np.array([number[label] for label in labels], dtype=np.int64)


def _rows_in_use(table: Table, columns: Columns, name: str) -> tuple[list[int], list[str]]:
    """Return the rows that have a path and a label, each path once, and what is to be said of the others."""
    paths, labels = table.columns[columns.path], table.columns[columns.label]
    splits = table.columns[columns.split] if columns.split else [""] * len(table)
    seen: dict[str, int] = {}
    twice: list[str] = []
    differing: list[str] = []
    nameless, unlabelled = [], []
    for row in range(len(table)):
        if not paths[row]:
            nameless.append(table.places[row])
        elif not labels[row]:
            unlabelled.append(table.places[row])
        elif (first := seen.setdefault(os.path.normpath(paths[row]), row)) != row:
            same = (labels[first], splits[first]) == (labels[row], splits[row])
            (twice if same else differing).append(f"{paths[row]} ({table.places[first]} and {table.places[row]})")
    if nameless:
        raise DataError(f"{name}: no path in {listed(nameless, 5)}; complete the table")
    if differing:
        raise DataError(
            f"{name} gives {len(differing)} files two different labels or splits: {listed(differing, 5)}; keep "
            "one row each"
        )
    if not seen:
        raise DataError(f"{name}: no row has a label in column {columns.label!r}; is it the right one?")
    notices = [f"{name}: rows without {columns.label!r}, left out ({len(unlabelled)}): {listed(unlabelled, 3)}"]
    notices = notices if unlabelled else []
    notices += [f"{name}: files named twice, taken once ({len(twice)}): {listed(twice, 3)}"] if twice else []
    return list(seen.values()), notices


def _as_here(name: str, root: Path) -> str:
    """Return a path as this system writes it: a table made on Windows has backslashes."""
    if os.sep == "/" and "\\" in name and not (root / name).exists():
        return os.path.normpath(name.replace("\\", "/"))
    return os.path.normpath(name)


def _nowhere(names: Sequence[str], root: Path, path: Path) -> str:
    tried = root / names[0]
    ended = [suffix for suffix in (".jpg", ".jpeg", ".png") if tried.with_name(tried.name + suffix).exists()]
    hint = f"; {tried}{ended[0]} does: write the endings too" if ended else ""
    return (
        f"none of the {len(names)} files that {path.name} lists exists, for example {tried}{hint}; paths begin at "
        "the table's folder, or where --data-root says"
    )


def _ordered(labels: set[str]) -> tuple[str, ...]:
    """Return labels in the order of the alphabet, or of numbers where all are whole ones: 2 before 10."""
    whole = all(label.removeprefix("-").isdecimal() for label in labels)
    return tuple(sorted(labels, key=lambda label: (int(label), label)) if whole else sorted(labels))


def _check_case(class_names: Sequence[str], name: str) -> None:
    seen: dict[str, str] = {}
    for label in class_names:
        known = seen.setdefault(label.casefold(), label)
        if known != label:
            raise DataError(f"{name} has two classes equal up to case, {known!r} and {label!r}; make them one")


def _given(table: Table, columns: Columns, kept: Sequence[int], name: str) -> dict[str, Rows]:
    """Return the rows of each split by the split column, or all as one."""
    if columns.split is None:
        return {"all": np.arange(len(kept), dtype=np.int64)}
    cells = [table.columns[columns.split][row] for row in kept]
    unknown = sorted({cell for cell in cells if cell.lower() not in SPLIT_FOLDERS})
    if unknown:
        raise DataError(
            f"{name}: column {columns.split!r} has {listed(map(repr, unknown), 5)}; expected train, val and test "
            "in each row, or name another column: --set data.split_column=NAME"
        )
    splits = np.array([SPLIT_FOLDERS[cell.lower()] for cell in cells])
    found = {split: np.flatnonzero(splits == split).astype(np.int64) for split in SPLITS}
    return {split: rows for split, rows in found.items() if len(rows)}


def _groups(table: Table, group_by: str | None, kept: Sequence[int], name: str) -> Rows | None:
    """Return the groups by a column of this name; None where it names none: then it is a regex for the paths."""
    if group_by is None or "(" in group_by:
        return None
    if group_by not in table.columns:
        raise DataError(
            f"`data.group_by` is {group_by!r}, which is no column of {name}{did_you_mean(group_by, table.columns)} "
            f"and no regex with a capturing group; columns: {listed(table.columns)}"
        )
    cells = table.columns[group_by]
    empty = [table.places[row] for row in kept if not cells[row]]
    if empty:
        raise DataError(f"{name}: column {group_by!r} is empty in {listed(empty, 5)}; every image needs its group")
    return number_groups(np.array([cells[row] for row in kept], dtype=object).astype(str))


def _said(columns: Columns, root: Path, data: Data, what: str) -> str:
    split = f", splits from {columns.split!r}" if columns.split else ""
    return f"paths from column {columns.path!r}, {what} from {columns.label!r}{split}; files below {data.root or root}"
