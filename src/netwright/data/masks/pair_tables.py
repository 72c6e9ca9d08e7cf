"""Images and masks by a table: a column of each, and one of splits where there is one."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from netwright.config.sections import Data
from netwright.data.columns import PATH_NAMES, SPLIT_NAMES, named_column, typical_column
from netwright.data.listing import SPLIT_FOLDERS
from netwright.data.masks.pairs import Pairs
from netwright.data.tables import Table, read_table
from netwright.errors import DataError, listed


def pairs_of_table(path: Path, data: Data) -> Pairs:
    """Read pairs from a table whose column `data.masks` has the paths of masks.

    Paths begin at `data.root`, else at the table's folder. Raises DataError when columns can't be told."""
    table = read_table(path)
    masks = named_column(table, data.masks, "data.masks", path.name)
    assert masks is not None
    images = named_column(table, data.path_column, "data.path_column", path.name)
    images = images or typical_column(table, PATH_NAMES, (masks,))
    if images is None:
        raise DataError(
            f"{path.name} has no column of images that could be told by its name; say which it is with "
            f"--set data.path_column=NAME; columns: {listed(table.columns)}"
        )
    split = named_column(table, data.split_column, "data.split_column", path.name)
    split = split or typical_column(table, SPLIT_NAMES, (masks, images))
    root = path.parent if data.root is None else Path(data.root)
    pairs = Pairs(notices=[f"{path.name}: images by column {images!r}, masks by {masks!r}"])
    rows: list[int] = []
    for row, (image, mask) in enumerate(zip(table.columns[images], table.columns[masks], strict=True)):
        if not (image and mask):
            pairs.wrong.append(f"{table.places[row]}: no {'mask' if image else 'image'}")
        elif not (root / mask).is_file():
            pairs.wrong.append(f"{image}: its mask {mask} is not there")
        else:
            rows.append(row)
            pairs.images.append(root / image)
            pairs.masks.append(root / mask)
            pairs.names.append(os.path.normpath(image))
    pairs.given = _given(table, split, rows, path.name)
    return pairs


def _given(
    table: Table, split: str | None, rows: Sequence[int], name: str
) -> "dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]":
    if split is None:
        return {"all": np.arange(len(rows), dtype=np.int64)}
    cells = [table.columns[split][row] for row in rows]
    unknown = sorted({cell for cell in cells if cell.lower() not in SPLIT_FOLDERS})
    if unknown:
        raise DataError(f"{name}: column {split!r} has {listed(map(repr, unknown), 5)}; expected train, val and test")
    splits = np.array([SPLIT_FOLDERS[cell.lower()] for cell in cells])
    found = {part: np.flatnonzero(splits == part).astype(np.int64) for part in ("train", "val", "test")}
    return {part: places for part, places in found.items() if len(places)}
