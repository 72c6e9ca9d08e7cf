"""Labelled data before anything is decoded: where each image is, its target and its name."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from netwright.config.rows import RowKind
from netwright.config.tasks import TaskName
from netwright.data.file_bytes import read_file
from netwright.data.masks.coding import Coding
from netwright.data.masks.values import read_values
from netwright.data.texts import Paths

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]
SPLITS = ("train", "val", "test")


class ImageSource(Protocol):
    """N images that can be counted and reduced to some rows."""

    def __len__(self) -> int: ...

    def take(self, rows: Rows) -> "ImageSource":
        """Return the source that has only these rows, in this order."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images in memory: `pixels` (N, H, W, C), C 1 or 3; uint8, or another dtype with `value_range` (black, white)."""

    pixels: Array
    value_range: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: Rows) -> "ArrayImages":
        return ArrayImages(self.pixels[rows], self.value_range)


@dataclass(frozen=True, eq=False)
class FileImages:
    """Images in files; `value_range` is the window of deep gray files (16-bit, float), null for the usual meaning."""

    paths: Paths
    value_range: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Rows) -> "FileImages":
        return FileImages(self.paths.take(rows), self.value_range)


@dataclass(frozen=True, eq=False)
class ItemImages:
    """Items of map-style data sets; row i is item `index` of data set number `part` (`places[i] == (part, index)`).

    kind: "fixed" (pictures that are always the same: decoded once), "random" (pictures that the data set itself
    changes: read anew in every epoch) or "ready" (float tensors (C, H, W), read anew and taken as they are).
    `parallel` says whether items may be read from several threads.
    """

    datasets: tuple[Any, ...]
    places: Rows
    kind: str = "fixed"
    parallel: bool = False

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Rows) -> "ItemImages":
        return ItemImages(self.datasets, self.places[rows], self.kind, self.parallel)

    def item(self, row: int) -> Any:
        """Read the image (not the target) of one row."""
        part, index = self.places[row]
        return self.datasets[int(part)][int(index)][0]


@dataclass(frozen=True, eq=False)
class RowImages:
    """The rows of a table in place of images: `values` of each column (N,), numbers float64 (NaN: missing) or words
    ("": missing), and what each column is (`row_kinds`)."""

    values: Mapping[str, Array]
    kinds: Mapping[str, RowKind]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def take(self, rows: Rows) -> "RowImages":
        return RowImages({name: column[rows] for name, column in self.values.items()}, self.kinds)


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """The masks of images, in the order of these, and what their values mean."""

    paths: tuple[Path, ...]
    coding: Coding

    @cached_property
    def digests(self) -> Array:
        """Return the SHA-256 of each file, (N, 32) uint8. Raises DataError for one that can't be read."""
        found = b"".join(hashlib.sha256(read_file(path)).digest() for path in self.paths)
        return np.frombuffer(found, np.uint8).reshape(-1, 32)

    def numbers(self) -> Rows:
        """Return a number for each mask, (N,) int64: equal masks have equal ones."""
        return _first_bytes(self.digests)

    def values(self, row: int) -> tuple[Array, bool]:
        """Return the values (H, W) of a mask, and whether they are colours."""
        return read_values(self.paths[row])

    def name(self, row: int) -> str:
        return self.paths[row].name


@dataclass(frozen=True, eq=False)
class MaskArrays:
    """The same in memory: each mask's values (H, W) whole numbers, and whether they are colours 0xRRGGBB."""

    arrays: tuple[Array, ...]
    colours: tuple[bool, ...]
    coding: Coding

    @cached_property
    def digests(self) -> Array:
        """Return a SHA-256 of each mask, (N, 32) uint8."""
        found = b"".join(
            hashlib.sha256(f"{each.shape} {colours} ".encode() + each.astype("<i4").tobytes()).digest()
            for each, colours in zip(self.arrays, self.colours, strict=True)
        )
        return np.frombuffer(found, np.uint8).reshape(-1, 32)

    def numbers(self) -> Rows:
        """Return a number for each mask, (N,) int64: equal masks have equal ones."""
        return _first_bytes(self.digests)

    def values(self, row: int) -> tuple[Array, bool]:
        """Return the values (H, W) of a mask, and whether they are colours."""
        return self.arrays[row].astype(np.int32), self.colours[row]

    def name(self, row: int) -> str:
        return str(row)


Masks = MaskFiles | MaskArrays


def _first_bytes(digests: Array) -> Rows:
    return np.ascontiguousarray(digests[:, :8]).view("<i8")[:, 0].astype(np.int64)


@dataclass(frozen=True, eq=False)
class LabelledData:
    """N images (or rows of a table) with targets, and the splits that they came in.

    `task` says what targets are: (N,) int64 into `class_names`; (N,) float64 numbers and no names; or (N,) int64, one
    number for each different mask, whose pixels have the classes, and `masks`.
    `given` has rows for some of train, val and test, or {"all": every row}. `sample_names` are relative paths for files
    ("train/cats/1.jpg") and positions for arrays ("train/12"). `groups` (N,) int64 says which images belong together,
    `times` (N,) when each row was, where it is split by that, `ahead` how many rows later targets are of, and `target`
    what a table calls what is learnt.
    """

    name: str
    class_names: tuple[str, ...]
    images: ImageSource
    targets: Array
    sample_names: Sequence[str]
    given: dict[str, Rows]
    notices: tuple[str, ...] = ()
    groups: Rows | None = None
    task: TaskName = "classification"
    times: Array | None = None
    ahead: int = 0
    masks: Masks | None = None
    target: str | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def label(self, row: int) -> str:
        """Return what is known of a row as a word: its class, its number, or its mask's name."""
        if self.masks is not None:
            return f"mask {self.masks.name(row)}"
        target = self.targets[row]
        return self.class_names[target] if self.class_names else f"{target:g}"

    @property
    def strata(self) -> Rows:
        """Return what a stratified split keeps the shares of, (N,) int64: the classes; all else is alike."""
        return self.targets if self.task == "classification" else np.zeros(len(self), dtype=np.int64)
