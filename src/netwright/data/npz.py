"""Labelled data from an `.npz`: Keras' keys, MedMNIST's keys, or one lone set."""

import re
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from netwright.data.arrays import ValueRange, assemble_arrays, check_pixels, check_targets, name_classes
from netwright.data.groups import number_groups
from netwright.data.labelled import SPLITS, Array, LabelledData, Rows
from netwright.errors import DataError, listed

_STYLES = (
    {split: (f"x_{split}", f"y_{split}") for split in SPLITS},
    {split: (f"{split}_images", f"{split}_labels") for split in SPLITS},
    {"all": ("x", "y")},
    {"all": ("images", "labels")},
)
_NAMES = ("classes", "class_names")


def open_npz(
    path: Path,
    value_range: ValueRange | None,
    name: str | None = None,
    *,
    training: bool = True,
    group_by: str | None = None,
) -> LabelledData:
    """Read and check an `.npz`; unknown arrays are left out with a notice.

    `group_by` is the key of an array with one value an image: "patient", or "patient_train" and "patient_test" (or
    "train_patient", …) where the images come in splits.

    Raises DataError for a damaged file, missing arrays, wrong shapes, dtypes, values or targets.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            style = _find_style(archive.files, path, training)
            arrays = {key: archive[key] for keys in style.values() for key in keys}
            names = next((archive[key] for key in _NAMES if key in archive.files), None)
            columns = {split: archive[key] for split, key in _columns(archive.files, style, group_by, path).items()}
            used = {*arrays, *_NAMES, *_columns(archive.files, style, group_by, path).values()}
            unknown = [key for key in archive.files if key not in used]
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        SyntaxError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
    ) as error:
        raise DataError(_unreadable(path, error)) from None
    notices = [f"arrays that are not used: {listed(unknown)}"] if unknown else []
    pixels = {split: check_pixels(arrays[x], f"{path.name}: {x}", value_range) for split, (x, _) in style.items()}
    labels = {
        split: check_targets(arrays[y], len(pixels[split]), f"{path.name}: {y}") for split, (_, y) in style.items()
    }
    class_names, targets = name_classes(labels, _read_names(names, path), path.name)
    parts = {split: (pixels[split], targets[split]) for split in style}
    labelled = assemble_arrays(name or path.stem, parts, class_names, value_range, notices)
    return labelled if not columns else replace(labelled, groups=_groups(columns, labelled, path))


def _columns(keys: list[str], style: dict[str, tuple[str, str]], group_by: str | None, path: Path) -> dict[str, str]:
    """Return the key of each split's groups. Raises DataError when there is none."""
    if group_by is None:
        return {}
    found = {}
    for split in style:
        names = [group_by] if split == "all" else [f"{group_by}_{split}", f"{split}_{group_by}"]
        present = [key for key in names if key in keys]
        if not present:
            raise DataError(
                f"`data.group_by` is {group_by!r} and {path} has no array {' or '.join(names)}; it has {listed(keys)}"
            )
        found[split] = present[0]
    return found


def _groups(columns: dict[str, Array], labelled: LabelledData, path: Path) -> Rows:
    for split, column in columns.items():
        if column.shape != labelled.given[split].shape:
            raise DataError(
                f"{path}: the groups of {split} have shape {column.shape}; expected {labelled.given[split].shape}, one "
                "value an image"
            )
    return number_groups(np.concatenate([columns[split] for split in labelled.given]))


def _find_style(keys: list[str], path: Path, training: bool) -> dict[str, tuple[str, str]]:
    for style in _STYLES:
        found = {split: pair for split, pair in style.items() if set(pair) & set(keys)}
        if not found:
            continue
        for pair in found.values():
            missing = [key for key in pair if key not in keys]
            if missing:
                raise DataError(f"{path} has {listed(set(pair) - set(missing))} and no {missing[0]}; add that array")
        if training and "all" not in found and "train" not in found:
            raise DataError(f"{path} has {listed(found)} and no train images; expected {style['train'][0]}")
        return found
    raise DataError(
        f"{path} has {listed(keys) or 'no arrays'}; expected x_train, y_train (and x_test, y_test), or train_images, "
        "train_labels (and val_…, test_…), or x, y"
    )


def _read_names(names: Array | None, path: Path) -> list[str] | None:
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind not in "USiu":
        raise DataError(f"{path}: the class names have shape {names.shape}, dtype {names.dtype}; expected text (K,)")
    listed_names = [str(name) for name in names.astype(str)]
    if len(set(listed_names)) < len(listed_names):
        raise DataError(f"{path} names a class twice: {listed(listed_names)}; name each once")
    return listed_names


def _unreadable(path: Path, error: Exception) -> str:
    if path.is_file() and not zipfile.is_zipfile(path):
        return f"{path} is damaged or not an .npz file (it is no archive); save it again with numpy.savez"
    if "allow_pickle" in str(error) or "Object arrays" in str(error):
        return f"{path} holds Python objects, which could run code; save arrays of numbers and text (no dtype=object)"
    if isinstance(error, PermissionError):
        return f"{path} can't be read (no permission)"
    reason = re.sub(r"\s+", " ", str(error))[:200]
    return f"{path} is damaged or not an .npz file ({reason}); save it again with numpy.savez"
