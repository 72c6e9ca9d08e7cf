"""What the columns of a table are (numbers, categories, dates, booleans, nothing of use), told by a look at them.

The look goes over all rows and never at the target; the user can correct it: `--columns age=number,plan=category`."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np

from netwright.config.rows import RowKind
from netwright.data.cell_dates import as_days
from netwright.data.cell_numbers import MISSING, as_number
from netwright.data.columns import find_column
from netwright.data.labelled import Array
from netwright.errors import DataError, did_you_mean, listed

KINDS = ("number", "boolean", "date", "category", "ignore")
REST = "*"
MOSTLY = 0.8  # of the cells are numbers: then the others are mistakes, which are named
MOST_CATEGORIES = 1000
FEW_CATEGORIES = 20  # always enough to be categories
CATEGORY_SHARE = 0.05  # of the rows: as many different words are still categories
_TRUE, _FALSE = ("true", "yes", "t", "y"), ("false", "no", "f", "n")


class Look(NamedTuple):
    """What a column is, why it is left out where it is, and how much of it is missing."""

    kind: RowKind
    why: str
    num_missing: int
    num_different: int


def look(cells: Sequence[str], places: Sequence[str], column: str, name: str) -> Look:
    """Say what a column of text is. Raises DataError for numbers with some words among them, named by their places."""
    there = [cell for cell in cells if not is_missing(cell)]
    missing, different = len(cells) - len(there), set(there)
    if len(different) < 2 and not (different and missing):
        return Look("ignore", "it is empty" if not different else "it is always the same", missing, len(different))
    if {cell.lower() for cell in different} <= {*_TRUE, *_FALSE}:
        return Look("boolean", "", missing, len(different))
    numbers = {cell: as_number(cell) for cell in different}
    good = sum(numbers[cell] is not None for cell in there)
    if good == len(there):
        if len(different) == len(cells) > FEW_CATEGORIES and _counts_rows(numbers.values()):
            return Look("ignore", "it counts the rows", missing, len(different))
        return Look("number", "", missing, len(different))
    if good >= MOSTLY * len(there):
        _refuse_others("numbers", good, numbers, cells, places, column, name)
    days = {cell: as_days(cell) for cell in different}
    dates = sum(days[cell] is not None for cell in there)
    if dates >= MOSTLY * len(there):
        _refuse_others("dates", dates, days, cells, places, column, name)
        return Look("date", "", missing, len(different))
    if len(different) <= min(MOST_CATEGORIES, max(FEW_CATEGORIES, CATEGORY_SHARE * len(there))):
        return Look("category", "", missing, len(different))
    return Look("ignore", f"{len(different):,} different words in {len(there):,} rows", missing, len(different))


def _counts_rows(numbers: Iterable[float | None]) -> bool:
    """Say whether numbers are whole and follow each other without a gap: 1, 2, 3, …"""
    ordered = sorted(number for number in numbers if number is not None)
    return ordered[0] in (0, 1) and all(after - before == 1 for before, after in itertools.pairwise(ordered))


def _refuse_others(
    kind: str,
    number: int,
    read: Mapping[str, float | None],
    cells: Sequence[str],
    places: Sequence[str],
    column: str,
    name: str,
) -> None:
    """Raise DataError that names the cells of a column that are not what the others are."""
    pairs = zip(cells, places, strict=True)
    wrong = [f"{cell!r} ({place})" for cell, place in pairs if not is_missing(cell) and read[cell] is None]
    if wrong:
        raise DataError(
            f"{name}: column {column!r} has {kind} in {number:,} rows and other words in {len(wrong):,}: "
            f"{listed(wrong, 5)}; correct them, or say what it is: --columns {column}=category (or ignore)"
        )


def is_missing(cell: str) -> bool:
    """Say whether a cell stands for nothing: empty, NA, null, ?, …"""
    return cell.strip().lower() in MISSING


def asked_kinds(asked: Mapping[str, str], columns: Sequence[str], name: str) -> dict[str, RowKind]:
    """Return what the user says columns are, `*` standing for all that are not named.

    Raises DataError for a column that is not there, or a kind that there is not."""
    found: dict[str, RowKind] = {}
    for wanted, kind in asked.items():
        column = wanted if wanted == REST else find_column(columns, wanted)
        if column is None:
            raise DataError(
                f"`data.columns` names {wanted!r}, which {name} does not have{did_you_mean(wanted, columns)}; "
                f"columns: {listed(columns, 20)}"
            )
        if kind not in KINDS:
            raise DataError(f"`data.columns` has {wanted}={kind}{did_you_mean(kind, KINDS)}; kinds: {listed(KINDS)}")
        found[column] = cast(RowKind, kind)
    return found


def parse(kind: RowKind, cells: Sequence[str]) -> tuple[Array, list[int]]:
    """Return a column's values (N,), and the rows whose cell is none of the kind.

    Numbers, booleans (0, 1) and dates (days since 1970) are float64, NaN where missing; categories are words, "" where
    missing."""
    if kind == "category":
        known: dict[str, str] = {}
        words = ["" if is_missing(cell) else known.setdefault(cell, cell) for cell in cells]
        return np.array(words, dtype=object), []
    read = _READERS[kind]
    values = np.full(len(cells), np.nan)
    bad = []
    for row, cell in enumerate(cells):
        if is_missing(cell):
            continue
        found = read(cell)
        if found is None:
            bad.append(row)
        else:
            values[row] = found
    return values, bad


def parse_strictly(
    kind: RowKind, cells: Sequence[str], places: Sequence[str], column: str, name: str, *, settled: bool = False
) -> Array:
    """Return a column's values (N,). Raises DataError that names the cells that are none of the kind; `settled`: what
    the column is can't be said otherwise any more, a network has learnt it so."""
    values, bad = parse(kind, cells)
    if bad:
        wrong = [f"{cells[row]!r} ({places[row]})" for row in bad]
        advice = "" if settled else f", or say what it is: --columns {column}=category (or ignore)"
        raise DataError(
            f"{name}: column {column!r} has cells that are no {kind}: {listed(wrong, 5)}; correct them{advice}"
        )
    return values


def _as_boolean(cell: str) -> float | None:
    word = cell.strip().lower()
    return 1.0 if word in _TRUE else 0.0 if word in _FALSE else as_number(cell)


_READERS: dict[str, Callable[[str], float | None]] = {"number": as_number, "boolean": _as_boolean, "date": as_days}
