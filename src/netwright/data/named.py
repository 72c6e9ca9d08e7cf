"""Labelled data by name: scikit-learn's digits, and torchvision's data sets from a folder, our cache or a download.

The user's `data.root` is read, never written. Downloads go to our cache: into a folder beside, renamed when whole."""

import contextlib
import io
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from netwright.config.datasets import NAMED_SETS
from netwright.data.arrays import assemble_arrays
from netwright.data.discover import as_path
from netwright.data.idx import find_idx, read_idx
from netwright.data.item_targets import item_targets
from netwright.data.labelled import SPLITS, Array, FileImages, ItemImages, LabelledData, Rows
from netwright.data.listing import IMAGE_SUFFIXES
from netwright.data.npz import open_npz
from netwright.data.texts import Paths, Texts
from netwright.errors import DataError, MachineError
from netwright.files.folders import cache_folder

_MAKES_FOLDERS = {"Caltech101": "caltech101", "Caltech256": "caltech256", "EuroSAT": "eurosat"}  # even without download
# of Food101, Flowers102, DTD, FGVCAircraft; OxfordIIITPet; StanfordCars, RenderedSST2, Imagenette; folders of classes
_FILE_LISTS = ("_image_files", "_images", "_samples", "samples")
_NOT_THERE = (OSError, RuntimeError, ValueError, ImportError)


def open_named(name: str, root: str | None) -> LabelledData:
    """Open a built-in set. Raises DataError for damaged files, MachineError when it has to be fetched and can't be."""
    if name == "digits":
        return open_digits()
    roots = [as_path(root)] if root is not None else []
    if roots and not roots[0].is_dir():
        raise DataError(f"`data.root` is {root}, which is not a folder; expected the folder that holds the data sets")
    for folder in roots:
        if (folder / f"{name}.npz").is_file():
            return open_npz(folder / f"{name}.npz", None, name)
    cached = cache_folder() / "datasets" / NAMED_SETS[name].torchvision_name
    for folder in (*roots, cached):
        pairs = find_idx(name, folder)
        if pairs is not None:
            return _from_idx(name, pairs)
        datasets = _load(name, folder) if folder.is_dir() else None
        if datasets is not None:
            return _from_torchvision(name, datasets)
    _download(name, cached, root)
    pairs = find_idx(name, cached)
    datasets = None if pairs else _load(name, cached)
    if pairs is None and datasets is None:
        raise MachineError(
            f"{name} was downloaded to {cached} and can't be loaded from there; delete that folder, try again"
        )
    return _from_idx(name, pairs) if pairs else _from_torchvision(name, datasets or {})


def open_digits() -> LabelledData:
    """Open scikit-learn's 1797 handwritten digits, 8×8 gray; its levels 0..16 become 0..255 (×255/16, rounded)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    targets = bunch.target.astype(np.int64)
    return assemble_arrays("digits", {"all": (pixels, targets)}, tuple(str(name) for name in bunch.target_names), None)


def _from_idx(name: str, pairs: dict[str, tuple[Path, Path]]) -> LabelledData:
    parts = {}
    for split, (images, labels) in pairs.items():
        pixels, targets = read_idx(images), read_idx(labels).astype(np.int64)
        if pixels.ndim != 3 or targets.ndim != 1 or len(pixels) != len(targets):
            raise DataError(f"{images} has shape {pixels.shape} and {labels.name} {targets.shape}; fetch them again")
        parts[split] = (_upright(name, pixels)[..., None], targets)
    return _assemble(name, parts, _idx_class_names(name))


def _upright(name: str, pixels: Array) -> Array:
    """EMNIST's files hold each image transposed (Cohen et al. 2017, section II.A); the others are as one sees them."""
    return np.ascontiguousarray(pixels.swapaxes(1, 2)) if name.startswith("emnist") else pixels


def _idx_class_names(name: str) -> tuple[str, ...] | None:
    if name == "mnist":
        return tuple("0123456789")
    return _class_names(getattr(_torchvision_class(name), "classes", None), name)


def _class_names(known: Any, name: str) -> tuple[str, ...] | None:
    """Return torchvision's class names as text, "0 - zero" as "0"; EMNIST's depend on the variant."""
    if name.startswith("emnist-"):
        known = _torchvision_class(name).classes_split_dict[name.removeprefix("emnist-")]
    if not known or isinstance(known, dict):
        return None
    texts = [", ".join(map(str, item)) if isinstance(item, (tuple, list)) else str(item) for item in known]
    return tuple(re.sub(r"^(\d+) - .*$", r"\1", text) for text in texts)


def _assemble(name: str, parts: dict[str, tuple[Array, Rows]], names: tuple[str, ...] | None) -> LabelledData:
    if name == "emnist-letters":  # 1..26 there, with "N/A" as class 0
        parts = {split: (pixels, targets - 1) for split, (pixels, targets) in parts.items()}
        names = names[1:] if names else None
    highest = max(int(targets.max()) for _, targets in parts.values())
    lowest = min(int(targets.min()) for _, targets in parts.values())
    if lowest < 0 or (names is not None and highest >= len(names)):
        raise DataError(f"{name} has targets from {lowest} to {highest}, outside its classes; fetch it again")
    return assemble_arrays(name, parts, names or tuple(map(str, range(highest + 1))), None)


def _torchvision_class(name: str) -> Any:
    with _silenced():
        import torchvision.datasets

        return getattr(torchvision.datasets, NAMED_SETS[name].torchvision_name)


def _load(name: str, root: Path) -> dict[str, Any] | None:
    """Load all splits from a folder in torchvision's layout, or return None when they aren't there."""
    kind = _torchvision_class(name)
    made = _MAKES_FOLDERS.get(NAMED_SETS[name].torchvision_name)
    if made is not None and not (root / made).is_dir():
        return None  # torchvision would make the folder: the root is never written
    try:
        with _silenced():
            return {split: kind(str(root), download=False, **how) for split, how in NAMED_SETS[name].splits.items()}
    except _NOT_THERE:
        return None


def _download(name: str, target: Path, root: str | None) -> None:
    kind = _torchvision_class(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-", ignore_cleanup_errors=True) as part:
        beside = Path(part) / target.name
        beside.mkdir()
        try:
            with _silenced():
                for how in NAMED_SETS[name].splits.values():
                    kind(str(beside), download=True, **how)
        except _NOT_THERE as error:
            looked = f" and is not in {root}" if root else ""
            raise MachineError(
                f"{name} could not be downloaded ({_first_line(error)}){looked}; fetch it elsewhere and say where: "
                f"`data.root` (--data-root) is a folder in torchvision's layout, or one with {name}.npz in it"
            ) from None
        if not target.exists():  # another process may have been faster
            os.replace(beside, target)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])[:200]}" if lines else type(error).__name__


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep torchvision's prints, progress bars and warnings away from the user's terminal."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def _from_torchvision(name: str, datasets: dict[str, Any]) -> LabelledData:
    first = next(iter(datasets.values()))
    names = _class_names(getattr(first, "classes", None) or getattr(first, "categories", None), name)
    if all(hasattr(dataset, "data") for dataset in datasets.values()):
        return _assemble(name, {split: _array_part(name, dataset) for split, dataset in datasets.items()}, names)
    labelled = join_items(name, datasets, names, parallel=name != "pcam")  # h5py files are not for many threads
    assert isinstance(labelled.images, ItemImages)
    parts = labelled.images.datasets
    paths = [_paths(part) for part in parts]
    if any(len(found) != len(part) for found, part in zip(paths, parts, strict=True)):
        return labelled
    files = Texts(str(path) for found in paths for path in found)
    return replace(labelled, images=FileImages(Paths(Path(), files)))


def _paths(dataset: Any) -> list[Path]:
    """Return the files that a set of torchvision's opens as its items, in order, or none when it keeps no such list.

    They are read by our decoder then, like any folder's: in parallel, and not at all when they are kept already."""
    for attribute in _FILE_LISTS:
        kept = getattr(dataset, attribute, None)
        if kept:
            paths = [Path(item[0] if isinstance(item, tuple) else item) for item in kept]
            return paths if all(path.suffix.lower() in IMAGE_SUFFIXES for path in paths) else []
    return []


def _array_part(name: str, dataset: Any) -> tuple[Array, Rows]:
    pixels = np.asarray(dataset.data)
    targets = np.asarray(getattr(dataset, "targets", getattr(dataset, "labels", None)), dtype=np.int64)
    targets = targets[:, 0] if targets.ndim == 2 else targets  # QMNIST: class, writer, …
    if pixels.ndim == 4 and pixels.shape[1] == 3 and pixels.shape[3] != 3:
        pixels = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))  # SVHN, STL10
    return (_upright(name, pixels)[..., None] if pixels.ndim == 3 else pixels), targets


def join_items(
    name: str, datasets: dict[str, Any], names: tuple[str, ...] | None, *, parallel: bool = False, trusted: bool = True
) -> LabelledData:
    """Make labelled data of map-style data sets by split; `trusted` ones keep lists of targets that their items have.

    Raises DataError when targets are not class numbers."""
    targets: list[Rows] = []
    places: list[Rows] = []
    given: dict[str, Rows] = {}
    ordered = {split: datasets[split] for split in (*SPLITS, "all") if split in datasets}
    start = 0
    for part, (split, dataset) in enumerate(ordered.items()):
        found = item_targets(dataset, f"{name}, {split}", trusted=trusted)
        targets.append(found)
        places.append(np.stack([np.full(len(found), part), np.arange(len(found))], axis=1).astype(np.int64))
        given[split] = np.arange(start, start + len(found), dtype=np.int64)
        start += len(found)
    highest = max(int(part.max()) for part in targets)
    known = names if names is not None and len(names) > highest else tuple(map(str, range(highest + 1)))
    return LabelledData(
        name=name,
        class_names=known,
        images=ItemImages(tuple(ordered.values()), np.concatenate(places), parallel=parallel),
        targets=np.concatenate(targets),
        sample_names=[f"{split}/{row}" for split, rows in given.items() for row in range(len(rows))],
        given=given,
    )
