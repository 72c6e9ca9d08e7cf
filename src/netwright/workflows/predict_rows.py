"""Predicting the rows of tables: files or a DataFrame -> one answer a row."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from netwright.data.discover import TABLE_SUFFIXES
from netwright.data.labelled import Array
from netwright.data.row_tables import read_rows
from netwright.data.row_transform import RowTransform
from netwright.deployment.prediction import Answer
from netwright.deployment.predictor import Predictor
from netwright.errors import DataError

AT_ONCE = 4096  # rows


def predict_rows(predictor: Predictor, sources: Iterable[Any]) -> Iterator[list[Answer]]:
    """Yield the answers for every row of tables, given by their paths or as DataFrames, some thousands at a time.

    A row is called by its file and place: `rows.csv, line 7`. Raises DataError for what is no such table."""
    table = predictor.transform.table
    assert table is not None
    for source in sources:
        features, names = _read(source, table)
        pixels = torch.from_numpy(features)[:, None, None, :]
        for start in range(0, len(names), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            rows = predictor.rows(predictor.finish(pixels[part]))
            yield [predictor.prediction(name, row) for name, row in zip(names[part], rows, strict=True)]


def _read(source: Any, table: RowTransform) -> tuple[Array, list[str]]:
    kinds = {column.name: column.kind for column in table.columns}
    if not isinstance(source, (str, Path)):
        values, places = read_rows(source, kinds)
        return table.encode(values), [place.removeprefix("row ") for place in places]
    path = Path(source)
    if path.suffix.lower() not in TABLE_SUFFIXES or not path.is_file():
        raise DataError(f"{path} is no table; the network takes the rows of a .csv, .tsv or .parquet file")
    values, places = read_rows(path, kinds)
    return table.encode(values), [f"{path}, {place}" for place in places]
