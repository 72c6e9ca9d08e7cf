"""A table from a file (CSV, TSV, Parquet) as columns of text. No NumPy, no torch."""

import csv
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.data.listing import IMAGE_SUFFIXES
from netwright.errors import DataError, MachineError, listed

_DELIMITERS = (",", ";", "\t", "|")
_MOST_CELL_BYTES = 2**20
MOST_CELLS = 50_000_000  # as text about 3.5 GB


@dataclass(frozen=True)
class Table:
    """N rows as text: column name -> N cells, "" where there is none.

    `places` says where row i came from ("line 7", "row 6"); `headless` that the file had no line of names, so that the
    columns are called 1, 2, …"""

    columns: dict[str, list[str]]
    places: list[str]
    headless: bool = False

    def __len__(self) -> int:
        return len(self.places)


def read_table(path: Path) -> Table:
    """Read a table by the ending of its name: .csv and .tsv as text, .parquet and .pq through pyarrow.

    Raises DataError for a file that is no table, MachineError when pyarrow is needed and not there."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    try:
        # a name of a file may hold any bytes and, in quotes, a newline
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            if path.stat().st_size > MOST_CELLS:  # a cell takes a byte at least, its separator
                _check_size(file, path)
            return table_of_lines(file, path)
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror})") from None


def table_of_lines(file: Any, path: Path) -> Table:
    """Return the table that an open text is; `path` names it. Raises DataError for what is none."""
    lines = [
        (number, [cell.strip(" \t\r") for cell in cells])
        for number, cells in _lines(file, path)
        if any(cell.strip() for cell in cells)
    ]
    if not lines:
        raise DataError(f"{path} is empty; expected a line of column names, then a line an image or row")
    return _as_table(lines, path)


def _check_size(file: Any, path: Path) -> None:
    """Raise DataError for a text that has more cells than are held in memory, without holding them."""
    num_lines = num_cells = 0
    for number, cells in _lines(file, path):
        num_lines, num_cells = number, num_cells + len(cells)
    if num_cells > MOST_CELLS:
        raise _too_large(path, f"{num_lines:,} lines and {num_cells:,} cells")


def _lines(file: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of an open text from its beginning. Raises DataError for what is no table."""
    file.seek(0)
    first = file.read(_MOST_CELL_BYTES)
    if "\0" in first:
        raise DataError(f"{path} is not a text; expected a table, one line an image or row")
    file.seek(0)
    head = first.partition("\n")[0]
    suffix = path.suffix.lower()
    delimiter = "\t" if suffix == ".tsv" else max(_DELIMITERS, key=lambda mark: _outside_quotes(head).count(mark))
    csv.field_size_limit(_MOST_CELL_BYTES)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a table ({error}); is a quote left open?") from None


def _too_large(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} has {what}, and a table is held in memory: {MOST_CELLS:,} cells at most; give some of the rows, drawn "
        "at random, or fewer columns"
    )


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


def _as_table(lines: list[tuple[int, list[str]]], path: Path) -> Table:
    head = lines[0][1]
    headless = any(cell.lower().endswith(IMAGE_SUFFIXES) for cell in head)
    names = [str(place + 1) for place in range(len(head))] if headless else head
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path} has two columns called {listed(twice)}; rename one of them")
    body = lines if headless else lines[1:]
    if not body:
        raise DataError(f"{path} has column names and no rows; expected a line an image or row")
    for number, cells in body:
        if len(cells) > len(names) and any(cells[len(names) :]):
            raise DataError(
                f"{path}, line {number}: {len(cells)} cells, and {len(names)} columns; put cells that hold the "
                "separator between quotes"
            )
    columns = {name: [row[place] if place < len(row) else "" for _, row in body] for place, name in enumerate(names)}
    return Table(columns, [f"line {number}" for number, _ in body], headless)


def _read_parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise MachineError(
            f"{path}: reading Parquet needs pyarrow, which is not installed; "
            f"`{os.path.basename(sys.executable)} -m pip install pyarrow`, or save the table as CSV"
        ) from None
    try:
        described = parquet.read_metadata(path)
        if described.num_rows * described.num_columns > MOST_CELLS:
            raise _too_large(path, f"{described.num_rows:,} rows of {described.num_columns} columns")
        found = parquet.read_table(path).to_pydict()
    except (ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path} is damaged or not a Parquet file ({reason})") from None
    columns = {str(name): [as_text(value) for value in values] for name, values in found.items()}
    num_rows = len(next(iter(columns.values()), []))
    if not num_rows:
        raise DataError(f"{path} has no rows; expected one an image or row")
    return Table(columns, [f"row {number}" for number in range(num_rows)])


def as_text(value: Any) -> str:
    """Return a cell as CSV would have it; a whole number that pandas made a float is whole again."""
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
