"""Tables that are no files: CSV as bytes, and rows as JSON objects."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from netwright.data.tables import Table, as_text, table_of_lines
from netwright.errors import DataError, listed

_NAME = Path("the table")  # in messages


def read_csv_text(content: bytes) -> Table:
    """Read CSV, separated by commas, semicolons, tabs or bars, as a file of it would be.

    Raises DataError for what is no table."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("the table has letters that are not UTF-8; save it as CSV UTF-8") from None
    return table_of_lines(io.StringIO(text, newline=""), _NAME)


def read_json_rows(content: bytes, columns: Sequence[str]) -> Table:
    """Read one object, or a list of them, as rows with some columns; null is a missing value, other names don't matter.

    Raises DataError for other JSON, a row without one of the columns, a value that is no text, number or boolean."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DataError(f"the body is no JSON ({error}); send an object with the columns, or a list of them") from None
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError("the rows are to be an object with the columns, or a list of such objects")
    places = [f"row {number}" for number in range(1, len(rows) + 1)]
    for place, row in zip(places, rows, strict=True):
        missing = [repr(name) for name in columns if name not in row]
        if missing:
            raise DataError(f"{place} has no {listed(missing, 10)}; what is not known is null")
    cells = {name: [_cell(row[name], name, place) for row, place in zip(rows, places, strict=True)] for name in columns}
    return Table(cells, places)


def _cell(value: Any, name: str, place: str) -> str:
    if isinstance(value, (list, dict)):
        kind = "a list" if isinstance(value, list) else "an object"
        raise DataError(f"{place}: {name!r} is {kind}; expected text, a number, true, false or null")
    return as_text(value)
