"""Labelled data from the rows of a table: CSV, TSV, Parquet, or a DataFrame."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netwright.config.rows import RowKind
from netwright.config.sections import Data, Split
from netwright.data.columns import SPLIT_NAMES, find_column
from netwright.data.groups import number_groups
from netwright.data.labelled import SPLITS, Array, LabelledData, RowImages, Rows
from netwright.data.listing import SPLIT_FOLDERS
from netwright.data.row_kinds import REST, asked_kinds, look, parse_strictly
from netwright.data.row_targets import RowTargets, leaking_columns, read_targets
from netwright.data.tables import Table, as_text, read_table
from netwright.errors import DataError, did_you_mean, listed


def open_rows(source: Path | Any, data: Data, split: Split, *, training: bool = True) -> LabelledData:
    """Read a table, by its path or as a DataFrame, as rows with the target `data.target`.

    Columns are what they look like, or what `data.columns` says; those of no use are left out with a notice. Raises
    DataError for a table, a target or columns that can't be used, and for a column that says the target itself."""
    table, name = _table(source)
    asked = asked_kinds(data.columns or {}, list(table.columns), name)
    times = _times(table, split.by_time, name)
    order = None if times is None else np.argsort(times, kind="stable")
    targets = read_targets(table.columns, table.places, data, name, order, training=training)
    aside = {column for column in (data.group_by, _split_column(table, data)) if column is not None}
    if len(targets.columns) == 1 and not data.ahead:  # of a later row, the target's column is known today
        aside.add(targets.columns[0])
    kinds, left_out = _kinds(table, asked, aside, name)
    values = {
        column: parse_strictly(kind, table.columns[column], table.places, column, name)[targets.kept]
        for column, kind in kinds.items()
    }
    if not values:
        raise DataError(f"{name} has no column to learn from beside the target; left out: {listed(left_out, 10)}")
    if training and not data.allow_leaks:
        _refuse_leaks(values, targets, name)
    return LabelledData(
        name=Path(name).stem,
        class_names=targets.class_names,
        images=RowImages(values, kinds),
        targets=targets.targets,
        sample_names=[table.places[row] for row in targets.kept],
        given=_given(table, _split_column(table, data), targets.kept, name),
        notices=(*_said(kinds, left_out), *targets.notices, *_ordered_in_time(values, kinds, split)),
        groups=_groups(table, data.group_by, targets.kept, name),
        task=targets.task,
        times=None if times is None else times[targets.kept],
        ahead=data.ahead,
        target=data.target,
    )


def read_rows(source: Path | Any, columns: Mapping[str, RowKind]) -> tuple[dict[str, Array], list[str]]:
    """Read the columns that a network takes of a table without targets, given by its path, as a DataFrame or as read
    already; return values and the rows' names.

    Raises DataError for a column that is not there, or a cell that is none of its kind."""
    table, name = _table(source)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(f"{name} does not have the columns {listed(missing, 10)}, which the network takes")
    values = {
        column: parse_strictly(kind, table.columns[column], table.places, column, name, settled=True)
        for column, kind in columns.items()
    }
    return values, table.places


def _table(source: Path | Any) -> tuple[Table, str]:
    if isinstance(source, Table):
        return source, "the table"
    if isinstance(source, Path):
        table = read_table(source)
        _check_letters(table, source)
        return table, source.name
    names = [str(column) for column in source.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the DataFrame has two columns called {listed(twice)}; rename one of them")
    columns = {str(column): [as_text(value) for value in source[column].tolist()] for column in source.columns}
    num_rows = len(next(iter(columns.values()), []))
    if not num_rows:
        raise DataError("the DataFrame is empty; expected a row a sample")
    return Table(columns, [f"row {number}" for number in range(num_rows)]), "the DataFrame"


def _check_letters(table: Table, path: Path) -> None:
    """Raise DataError where a file is not UTF-8: its words and names would be those of no other file."""
    for column, cells in table.columns.items():
        try:
            "\0".join((column, *cells)).encode()
        except UnicodeEncodeError:
            shown = column.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            raise DataError(
                f"{path}: column {shown!r} has letters that are not UTF-8, as older spreadsheets write them; save the "
                "table as CSV UTF-8"
            ) from None


def _split_column(table: Table, data: Data) -> str | None:
    """Return the column of splits: as `data.split_column` says, else one that is called so and names splits alone."""
    if data.split_column is not None:
        if data.split_column not in table.columns:
            hint = did_you_mean(data.split_column, table.columns)
            raise DataError(f"`data.split_column` is {data.split_column!r}, which is no column{hint}")
        return data.split_column
    for column in table.columns:
        if column.strip().lower() in SPLIT_NAMES and {c.lower() for c in table.columns[column]} <= set(SPLIT_FOLDERS):
            return column
    return None


def _kinds(
    table: Table, asked: Mapping[str, RowKind], aside: set[str], name: str
) -> tuple[dict[str, RowKind], list[str]]:
    """Return the kinds of the columns that are learnt from, and what is said of the others."""
    kinds: dict[str, RowKind] = {}
    left_out = []
    for column, cells in table.columns.items():
        if column in aside:
            continue
        if column in asked or REST in asked:
            kind = asked[column] if column in asked else asked[REST]
            why = "as asked"
        else:
            kind, why, _, _ = look(cells, table.places, column, name)
        if kind == "ignore":
            left_out.append(f"{column} ({why})")
        else:
            kinds[column] = kind
    return kinds, left_out


def _said(kinds: Mapping[str, RowKind], left_out: list[str]) -> list[str]:
    of_kind = {
        kind: [column for column, each in kinds.items() if each == kind] for kind in dict.fromkeys(kinds.values())
    }
    words = {"number": "numbers", "boolean": "booleans", "date": "dates", "category": "categories"}
    lines = ["; ".join(f"{words[kind]}: {listed(columns, 12)}" for kind, columns in of_kind.items())]
    return lines + ([f"columns left out: {listed(left_out, 8)}"] if left_out else [])


def _refuse_leaks(values: Mapping[str, Array], targets: RowTargets, name: str) -> None:
    leaking = leaking_columns(values, targets)
    if leaking:
        raise DataError(
            f"{name}: column {leaking[0]!r} says the target itself, so nothing would be learnt; leave it out with "
            f"--columns {','.join(f'{column}=ignore' for column in leaking)}, or go on with it: --allow-leaks"
        )


def _times(table: Table, by_time: str | None, name: str) -> Array | None:
    """Return the rows' times (N,) as numbers by the column of `split.by_time`: dates or numbers."""
    if by_time is None:
        return None
    column = find_column(list(table.columns), by_time)
    if column is None:
        raise DataError(
            f"`split.by_time` is {by_time!r}, which {name} does not have{did_you_mean(by_time, table.columns)}; "
            f"columns: {listed(table.columns, 20)}"
        )
    cells = table.columns[column]
    kind = look(cells, table.places, column, name).kind
    if kind not in ("date", "number"):
        raise DataError(f"{name}: column {column!r} is to say the time, and has neither dates nor numbers")
    values = parse_strictly(kind, cells, table.places, column, name)
    unknown = [table.places[row] for row in np.flatnonzero(np.isnan(values))]
    if unknown:
        raise DataError(f"{name}: column {column!r} is empty in {listed(unknown, 5)}; every row needs its time")
    return values


def _ordered_in_time(values: Mapping[str, Array], kinds: Mapping[str, RowKind], split: Split) -> list[str]:
    """Warn where rows look ordered in time and are to be drawn at random."""
    if split.by_time is not None or split.manifest is not None:
        return []
    for column, kind in kinds.items():
        times = values[column]
        if kind != "date" or np.isnan(times).any() or len(times) < 3:
            continue
        steps = np.diff(times)
        if (steps >= 0).all() or (steps <= 0).all():
            return [
                f"rows are ordered in time by {column!r}: a network that is to say what comes next has to be judged on "
                f"later rows, with --split-by-time {column}"
            ]
    return []


def _given(table: Table, column: str | None, kept: Rows, name: str) -> dict[str, Rows]:
    if column is None:
        return {"all": np.arange(len(kept), dtype=np.int64)}
    cells = [table.columns[column][row].lower() for row in kept]
    unknown = sorted(set(cells) - set(SPLIT_FOLDERS))
    if unknown:
        raise DataError(f"{name}: column {column!r} has {listed(map(repr, unknown), 5)}; expected train, val and test")
    splits = np.array([SPLIT_FOLDERS[cell] for cell in cells])
    found = {split: np.flatnonzero(splits == split).astype(np.int64) for split in SPLITS}
    return {split: rows for split, rows in found.items() if len(rows)}


def _groups(table: Table, group_by: str | None, kept: Rows, name: str) -> Rows | None:
    if group_by is None:
        return None
    if group_by not in table.columns:
        raise DataError(
            f"`data.group_by` is {group_by!r}, which is no column of {name}{did_you_mean(group_by, table.columns)}; "
            f"columns: {listed(table.columns, 20)}"
        )
    cells = [table.columns[group_by][row] for row in kept]
    empty = [table.places[row] for row, cell in zip(kept, cells, strict=True) if not cell]
    if empty:
        raise DataError(f"{name}: column {group_by!r} is empty in {listed(empty, 5)}; every row needs its group")
    return number_groups(np.array(cells, dtype=object).astype(str))
