"""What is to be learnt of a table: a column, or whether one column is above another, of this row or a later one."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netwright.config.sections import Data
from netwright.config.tasks import TaskName
from netwright.data.cell_numbers import as_number
from netwright.data.columns import find_column
from netwright.data.labelled import Array, Rows
from netwright.data.row_kinds import MOSTLY, is_missing
from netwright.errors import DataError, did_you_mean, listed

MOST_WHOLE_CLASSES = 20  # different whole numbers: more of them are amounts
_COMPARISON = re.compile(r"(.+?)\s*(>=|<=|>|<)\s*(.+)")
_LEAK_SHARE = 0.999


@dataclass(frozen=True, eq=False)
class RowTargets:
    """The targets of the rows `kept` (M,): classes (M,) int64 with their names, or numbers (M,) float64."""

    task: TaskName
    class_names: tuple[str, ...]
    targets: Array
    kept: Rows
    columns: tuple[str, ...]  # that it was made of
    notices: tuple[str, ...]


def read_targets(
    columns: Mapping[str, Sequence[str]],
    places: Sequence[str],
    data: Data,
    name: str,
    order: Rows | None,
    *,
    training: bool = True,
) -> RowTargets:
    """Read `data.target`: the name of a column, or `A > B` (also >=, <, <=), which gives the classes no and yes.

    With `data.ahead` it is that of the row so many later in `order` (N,). Rows without one are left out. Without
    `training` one class is enough. Raises DataError for a column that is not there, and for targets that are all
    missing, all the same or all different."""
    target = data.target or ""
    found = _COMPARISON.fullmatch(target) if target not in columns else None
    used: tuple[str, ...]
    if found:
        used = (_named(columns, found[1].strip(), name), _named(columns, found[3].strip(), name))
        cells = _compared(columns, used, found[2], places, name)
    else:
        used = (_named(columns, target, name),)
        cells = [unicodedata.normalize("NFC", cell) for cell in columns[used[0]]]
    if data.ahead:
        cells = _ahead(cells, data.ahead, order, name)
    kept = np.array([row for row, cell in enumerate(cells) if not is_missing(cell)], dtype=np.int64)
    if not len(kept):
        raise DataError(f"{name}: the target {target!r} is missing in every row; is it the right column?")
    left = len(cells) - len(kept)
    notices = (f"{name}: rows without a target, left out ({left:,})",) if left else ()
    some = [cells[row] for row in kept]
    task, names, targets = _typed(some, [places[row] for row in kept], data, name, training)
    return RowTargets(task, names, targets, kept, used, notices)


def _named(columns: Mapping[str, Sequence[str]], column: str, name: str) -> str:
    found = find_column(list(columns), column)
    if found is None:
        raise DataError(
            f"`data.target` is {column!r}, which {name} does not have{did_you_mean(column, columns)}; "
            f"columns: {listed(columns, 20)}"
        )
    return found


def _compared(
    columns: Mapping[str, Sequence[str]], used: Sequence[str], sign: str, places: Sequence[str], name: str
) -> list[str]:
    first, second = (_numbers(columns[each], each, places, name) for each in used)
    above = {">": first > second, ">=": first >= second, "<": first < second, "<=": first <= second}[sign]
    unknown = np.isnan(first) | np.isnan(second)
    return ["" if missing else "yes" if yes else "no" for yes, missing in zip(above, unknown, strict=True)]


def _numbers(cells: Sequence[str], column: str, places: Sequence[str], name: str) -> Array:
    """Return the numbers (N,) of a column that is compared, NaN where a cell is empty; words are refused."""
    numbers = [None if is_missing(cell) else as_number(cell) for cell in cells]
    wrong = [
        f"{cell!r} ({place})"
        for cell, number, place in zip(cells, numbers, places, strict=True)
        if number is None and not is_missing(cell)
    ]
    if wrong:
        raise DataError(
            f"{name}: column {column!r} has cells that are no numbers: {listed(wrong, 5)}; "
            "a comparison needs numbers: correct them, leave them empty, or compare another column"
        )
    return np.array([np.nan if number is None else number for number in numbers])


def _ahead(cells: Sequence[str], ahead: int, order: Rows | None, name: str) -> list[str]:
    """Give each row the target of the row so many later in time; the last ones have none."""
    if order is None:
        raise DataError(
            f"`data.ahead` is {ahead} rows, and nothing says in which order they are; name the column of time: "
            "--split-by-time COLUMN"
        )
    if ahead >= len(cells):
        raise DataError(
            f"`data.ahead` is {ahead:,} rows, and {name} has {len(cells):,}: no row has another so many later; lower it"
        )
    moved = [""] * len(cells)
    for place, row in enumerate(order[: len(order) - ahead]):
        moved[row] = cells[order[place + ahead]]
    return moved


def _typed(
    cells: Sequence[str], places: Sequence[str], data: Data, name: str, training: bool
) -> tuple[TaskName, tuple[str, ...], Array]:
    """Say whether targets are classes or numbers, as asked or by their look, and return them."""
    different = set(cells)
    if len(different) < 2 and training:
        raise DataError(f"{name}: the target {data.target!r} is {cells[0]!r} in every row; there is nothing to learn")
    numbers = {cell: as_number(cell) for cell in different}
    fractions = None not in numbers.values() and any(value % 1 for value in numbers.values() if value)
    mostly = sum(numbers[cell] is not None for cell in cells) >= MOSTLY * len(cells)  # then words among them are named
    amounts = mostly and len(different) > (2 if fractions else MOST_WHOLE_CLASSES)
    if data.task == "regression" or (data.task == "auto" and amounts):
        wrong = [f"{cell!r} ({place})" for cell, place in zip(cells, places, strict=True) if numbers[cell] is None]
        if wrong:
            raise DataError(
                f"{name}: the target {data.target!r} has cells that are no numbers: {listed(wrong, 5)}; "
                "correct them, or train a classifier: --task classification"
            )
        values = np.array([numbers[cell] for cell in cells], dtype=np.float64)
        return "regression", (), values
    nameless = len(different) == len(cells) > 2 or len(different) > max(MOST_WHOLE_CLASSES, len(cells) // 2)
    if nameless and training:
        raise DataError(
            f"{name}: the target {data.target!r} has {len(different):,} different values in {len(cells):,} rows, such "
            f"as {listed(map(repr, sorted(different)), 3)}: that is a name and no class; is it the right column?"
        )
    names = _ordered(different)
    place = {label: number for number, label in enumerate(names)}
    return "classification", names, np.array([place[cell] for cell in cells], dtype=np.int64)


def _ordered(labels: set[str]) -> tuple[str, ...]:
    """Return labels in the order of the alphabet, or of numbers where all are: 2 before 10, no before yes."""
    numbers = {label: as_number(label) for label in labels}
    if None in numbers.values():
        return tuple(sorted(labels))
    return tuple(sorted(labels, key=lambda label: (numbers[label], label)))


def leaking_columns(values: Mapping[str, Array], targets: RowTargets) -> list[str]:
    """Return the columns that say the target itself: the same number, in whatever unit, or a word for each class."""
    found = []
    for name, column in values.items():
        if name in targets.columns:
            continue
        if targets.task == "regression":
            same = column.dtype.kind == "f" and _is_a_line(column, targets.targets)
        else:
            same = _is_one_to_one(column, targets.targets)
        if same:
            found.append(name)
    return found


def _is_a_line(column: Array, targets: Array) -> bool:
    known = ~np.isnan(column)
    if known.mean() < _LEAK_SHARE or column[known].std() == 0:
        return False
    return bool(abs(np.corrcoef(column[known], targets[known])[0, 1]) > 1 - 1e-9)


def _is_one_to_one(column: Array, targets: Array) -> bool:
    if column.dtype.kind == "f":
        column = np.where(np.isnan(column), np.inf, column)
    words, codes = np.unique(column.astype(str) if column.dtype == object else column, return_inverse=True)
    if len(words) != int(targets.max()) + 1:
        return False
    counts = np.zeros((len(words), int(targets.max()) + 1), dtype=np.int64)
    np.add.at(counts, (codes.reshape(-1), targets), 1)
    return bool(counts.max(axis=1).sum() >= _LEAK_SHARE * len(targets) and (counts.max(axis=0) > 0).all()) and bool(
        len(set(counts.argmax(axis=1).tolist())) == counts.shape[1]
    )
