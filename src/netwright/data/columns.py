"""Which columns of a table hold paths, labels and splits: as the recipe says, else by name, else by look."""

from collections.abc import Sequence
from typing import NamedTuple

from netwright.config.sections import Data
from netwright.data.listing import IMAGE_SUFFIXES
from netwright.data.tables import Table
from netwright.errors import DataError, did_you_mean, listed

PATH_NAMES = (
    *("path", "file", "image", "filename", "filepath", "file_path", "file_name", "image_path", "image_file"),
    *("image_name", "img", "img_path", "img_name", "images", "files", "paths", "relative_path"),
)
LABEL_NAMES = ("label", "class", "target", "category", "class_name", "label_name", "labels", "classes", "y")
SPLIT_NAMES = ("split", "subset", "partition")
_LOOKED_AT = 200


def find_column(columns: Sequence[str], wanted: str) -> str | None:
    """Return the column of this name, else the only one that is it but for case or ends so: `close`, `AAPL.Close`."""
    if wanted in columns:
        return wanted
    word = wanted.casefold()
    same = [column for column in columns if column.casefold() == word]
    ends = [column for column in columns if column.casefold().endswith(tuple(f"{mark}{word}" for mark in "._ "))]
    for found in (same, ends):
        if found:
            return found[0] if len(found) == 1 else None
    return None


class Columns(NamedTuple):
    """The names of the columns that hold paths, labels and (where there is one) splits."""

    path: str
    label: str
    split: str | None


def choose_columns(table: Table, data: Data, name: str) -> Columns:
    """Choose the columns of a table called `name` in messages.

    Raises DataError when a column that the recipe names is not there, or none is found."""
    path = named_column(table, data.path_column, "data.path_column", name) or _path_column(table)
    if path is None:
        raise DataError(_no_paths(table, name))
    label = named_column(table, data.label_column, "data.label_column", name) or _label_column(table, path)
    if label is None:
        raise DataError(
            f"{name} has no column for labels that could be told by its name (such as {listed(LABEL_NAMES, 3)}); say "
            f"which it is with --set data.label_column=NAME; columns: {listed(table.columns)}"
        )
    split = named_column(table, data.split_column, "data.split_column", name)
    if split is None and not table.headless:
        split = typical_column(table, SPLIT_NAMES, (path, label))
    if len({path, label, split}) < 3:
        raise DataError(f"{name}: paths, labels and splits need a column each, and two of them are {path!r}")
    return Columns(path, label, split)


def named_column(table: Table, wanted: str | None, field: str, name: str) -> str | None:
    """Return the column that a field of the recipe names. Raises DataError when the table has none of this name."""
    if wanted is not None and wanted not in table.columns:
        raise DataError(
            f"`{field}` is {wanted!r}, which {name} does not have{did_you_mean(wanted, table.columns)}; "
            f"columns: {listed(table.columns)}"
        )
    return wanted


def typical_column(table: Table, names: Sequence[str], but: Sequence[str] = ()) -> str | None:
    """Return the column whose name, without regard to case and blanks, comes first among `names`."""
    plain = {column.strip().lower().replace(" ", "_"): column for column in reversed(table.columns)}
    return next((plain[name] for name in names if name in plain and plain[name] not in but), None)


def _path_column(table: Table) -> str | None:
    """Return the column that is called so, else the only one whose cells end as names of images do."""
    named = typical_column(table, PATH_NAMES)
    if named is not None and not _all_numbers(table.columns[named]):
        return named
    looking = [column for column, cells in table.columns.items() if _are_paths(cells)]
    return looking[0] if len(looking) == 1 else None


def _label_column(table: Table, path: str) -> str | None:
    """Return the column that is called so, else the only one beside the paths."""
    others = [column for column in table.columns if column != path]
    return typical_column(table, LABEL_NAMES, (path,)) or (others[0] if len(others) == 1 else None)


def _are_paths(cells: Sequence[str]) -> bool:
    some = [cell for cell in cells[:_LOOKED_AT] if cell]
    return bool(some) and all(cell.lower().endswith(IMAGE_SUFFIXES) for cell in some)


def _all_numbers(cells: Sequence[str]) -> bool:
    some = [cell for cell in cells[:_LOOKED_AT] if cell]
    return bool(some) and all(_is_number(cell) for cell in some)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _no_paths(table: Table, name: str) -> str:
    numbers = [column for column, cells in table.columns.items() if _all_numbers(cells)]
    if len(numbers) > len(table.columns) / 2:
        return (
            f"{name} looks like a table of numbers ({listed(numbers, 4)}): say which column is to be learnt from the "
            "others with --target COLUMN; for images, expected are a column of paths and one of labels"
        )
    return (
        f"{name} has no column of paths that could be told by its name (such as {listed(PATH_NAMES, 3)}) or its look; "
        f"say which it is with --set data.path_column=NAME; columns: {listed(table.columns)}"
    )
