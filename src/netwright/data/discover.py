"""What a source is: a built-in name, a folder of class folders or of splits, an `.npz`, a table. No NumPy, no torch."""

import errno
import os
from pathlib import Path
from typing import Literal

from netwright.config.datasets import BUILT_IN
from netwright.data.archives import ARCHIVE_SUFFIXES, how_to_unpack
from netwright.data.listing import IMAGE_SUFFIXES, list_folder
from netwright.data.registered import is_registered
from netwright.errors import DataError, did_you_mean, listed

Kind = Literal["named", "folder", "split folder", "npz", "table"]
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")
_EXPECTED = (
    "a data set's name, a folder of class folders, an .npz file, or a table (.csv, .parquet) of paths and labels"
)


def describe_source(source: str, *, training: bool = True) -> Kind:
    """Say what kind of source a string names; without `training` one class, or a test part alone, is enough.

    Raises DataError for what is none: an unknown name, a missing path, an archive, a folder without labelled images.
    """
    if source in BUILT_IN or is_registered(source):
        return "named"
    path = as_path(source)
    if path.is_dir():
        return "folder" if "all" in list_folder(path, training=training).splits else "split folder"
    if not path.exists():
        raise DataError(_missing(source, path))
    if path.suffix.lower() == ".npz":
        return "npz"
    if path.suffix.lower() in TABLE_SUFFIXES:
        return "table"
    raise DataError(_unfit_file(path))


def as_path(text: str) -> Path:
    """Return the path that a user gave, `~` replaced. Raises DataError for one that the system can't look at."""
    shown = text if len(text) <= 80 else f"{text[:60]}…"
    try:
        path = Path(text).expanduser()
        path.exists()
    except RuntimeError:
        raise DataError(f"{shown}: there is no home folder for its ~; give the whole path") from None
    except OSError as error:
        what = (
            "is too long for a path" if error.errno == errno.ENAMETOOLONG else f"can't be looked at ({error.strerror})"
        )
        raise DataError(f"{shown} {what}; expected a data set's name or a path that exists") from None
    return path


def _missing(source: str, path: Path) -> str:
    hint = did_you_mean(source, BUILT_IN)
    if not hint and path.parent.is_dir():
        hint = did_you_mean(path.name, os.listdir(path.parent))
    if os.sep not in source and "." not in source:
        names = listed(BUILT_IN, 12)
        return f"{source!r} is neither a data set's name nor a path that exists{hint}; some names: {names}"
    return f"{source} does not exist{hint}; expected {_EXPECTED}"


def _unfit_file(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(ARCHIVE_SUFFIXES):
        return f"{path} is an archive; {how_to_unpack(path.name)}"
    if name.endswith(".npy"):
        return f"{path} holds one array without labels; save both: numpy.savez('data.npz', x=images, y=labels)"
    if name.endswith(IMAGE_SUFFIXES):
        return f"{path} is one image; expected a folder that holds a folder of images for each class"
    return f"{path} is a file that is not labelled images; expected {_EXPECTED}"
