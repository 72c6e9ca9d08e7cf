"""What comes in a request, made an array: run in a decoding process, so this module loads little.

Each function takes the evaluation transform, the most pixels (or rows) that there may be, and the bytes, and raises
DataError for what can't be read."""

from collections.abc import Callable

import numpy as np

from netwright.data.labelled import Array
from netwright.data.row_tables import read_rows
from netwright.data.table_texts import read_csv_text, read_json_rows
from netwright.data.transform import EvalTransform
from netwright.errors import DataError

Read = Callable[[EvalTransform, int, bytes], Array]
CSV, JSON = b"c", b"j"  # the first byte of rows says what the rest is


def as_view(transform: EvalTransform, most_pixels: int, content: bytes) -> Array:
    """Return the pixels (H, W, C) uint8 of a picture, all of one size, as `EvalTransform.view` gives them."""
    return transform.view(transform.decode(content, most_pixels))


def as_picture(transform: EvalTransform, most_pixels: int, content: bytes) -> Array:
    """Return the pixels (H, W, C) uint8 of a picture in its own size."""
    return transform.decode_whole(content, most_pixels)


def as_rows(transform: EvalTransform, most_rows: int, content: bytes) -> Array:
    """Return the features of a table's rows, (N, D) float32, as their bytes: (N, 1, 4 · D) uint8."""
    table = transform.table
    assert table is not None
    kinds = {column.name: column.kind for column in table.columns}
    rows = read_json_rows(content[1:], list(kinds)) if content[:1] == JSON else read_csv_text(content[1:])
    if len(rows) > most_rows:
        raise DataError(f"there are {len(rows):,} rows, and {most_rows:,} are taken at once; send them in parts")
    values, _ = read_rows(rows, kinds)
    with np.errstate(over="ignore"):  # a number that float32 can't hold: its row has no answer
        return table.encode(values).view(np.uint8)[:, None, :]
