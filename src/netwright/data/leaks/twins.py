"""All twins of a data set, equal and near ones, from its content alone: kept in the cache under that content."""

import hashlib
import io
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netwright.data.fingerprint import Digests, sample_digests
from netwright.data.labelled import Array, ArrayImages, ImageSource, ItemImages, RowImages, Rows
from netwright.data.leaks.exact import equal_rows, same_pixels
from netwright.data.leaks.near import Near, find_near
from netwright.data.leaks.thumbnails import SMALLEST, gray_thumbnails
from netwright.errors import NetwrightError
from netwright.files.atomic import write_atomic
from netwright.files.folders import cache_folder

VERSION = 1  # of what is found; another number makes what is kept void
MOST_IMAGES = 250_000  # N² grows: 100 s on two cores
_SURELY_ALIKE = 0.99  # below this agreement, two files do not have the same pixels
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, eq=False)
class Twins:
    """`content` (N,) is for each row the first row of the same content; `near` pairs such first rows, each pair once.

    `unchecked` says why no near twins, or none at all, were looked for; "" when they were."""

    content: Rows
    near: Near
    unchecked: str
    seconds: float


def find_twins(images: ImageSource) -> Twins:
    """Find equal images and near twins among all rows.

    Near ones are searched once for the same content, in whatever order and splits, and then read from the cache."""
    began = time.perf_counter()
    if isinstance(images, ItemImages) and images.kind != "fixed":
        why = "twins were not looked for: your Dataset makes its items anew every time"
        return Twins(np.arange(len(images), dtype=np.int64), no_pairs(), why, 0.0)
    digests = sample_digests(images)
    content, firsts = equal_rows(digests)
    unchecked = _too_much(images, firsts)
    if unchecked:
        return Twins(content, no_pairs(), unchecked, time.perf_counter() - began)
    path = cache_folder() / "leaks" / f"{_key(digests[firsts])}.npz"
    found = _read(path, len(firsts)) or _search(images, firsts, path)
    near, equal = found
    pairs = Near(firsts[near.first], firsts[near.second], near.mirrored, near.agreement, near.limit)
    content = merge(content, pairs.first[equal], pairs.second[equal])
    return Twins(content, _distinct(pairs, content), "", time.perf_counter() - began)


def no_pairs(limit: float = 1.0) -> Near:
    """Return what is found where nothing is."""
    nothing = np.empty(0, np.int64)
    return Near(nothing, nothing, np.empty(0, bool), np.empty(0, np.float32), limit)


def merge(labels: Rows, first: Rows, second: Rows) -> Rows:
    """Return labels (N,), each a row number, in which the rows of each pair have one: the smallest of all that hang
    together."""
    parent = labels.copy()

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        a, b = root(one), root(other)
        parent[max(a, b)] = min(a, b)
    while True:
        shorter = parent[parent]
        if np.array_equal(shorter, parent):
            return parent
        parent = shorter


def _too_much(images: ImageSource, firsts: Rows) -> str:
    if isinstance(images, RowImages):
        return "only equal rows were looked for"
    if isinstance(images, ArrayImages) and min(images.pixels.shape[1:3]) < SMALLEST:
        height, width = images.pixels.shape[1:3]
        return f"only equal images were looked for: near twins can't be told at {height} × {width} pixels"
    if len(firsts) > MOST_IMAGES:
        return f"only equal images were looked for: near twins not among more than {MOST_IMAGES:,} images"
    return ""


def _key(digests: Digests) -> str:
    return hashlib.sha256(f"netwright twins {VERSION}".encode() + digests.tobytes()).hexdigest()[:40]


def _search(images: ImageSource, firsts: Rows, path: Path) -> tuple[Near, Array]:
    near = find_near(gray_thumbnails(images, firsts))
    equal = np.zeros(len(near), bool)
    likely = np.flatnonzero(~near.mirrored & (near.agreement > _SURELY_ALIKE))
    if len(likely):
        equal[likely] = same_pixels(images, firsts[near.first[likely]], firsts[near.second[likely]])
    _write(path, near, equal)
    return near, equal


def _write(path: Path, near: Near, equal: Array) -> None:
    """Keep what was found; a cache that can't be written is no reason to stop."""
    file = io.BytesIO()
    np.savez(
        file,
        first=near.first,
        second=near.second,
        mirrored=near.mirrored,
        agreement=near.agreement,
        limit=near.limit,
        equal=equal,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, file.getvalue())
    except (OSError, NetwrightError):
        pass


def _read(path: Path, count: int) -> tuple[Near, Array] | None:
    """Return what is kept for `count` images, or None; what is damaged counts as absent (a zip has checksums)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            near = Near(file["first"], file["second"], file["mirrored"], file["agreement"], float(file["limit"]))
            equal = file["equal"]
    except _DAMAGED:
        return None
    arrays = (near.first, near.second, near.mirrored, near.agreement, equal)
    if len({len(array) for array in arrays}) > 1 or (len(near) and max(near.first.max(), near.second.max()) >= count):
        return None
    return near, equal


def _distinct(near: Near, content: Rows) -> Near:
    """Put the first row of each content in place of the others; a pair that has become one content is none."""
    first, second = content[near.first], content[near.second]
    low, high = np.minimum(first, second), np.maximum(first, second)
    kept = np.flatnonzero(low != high)
    kept = kept[np.lexsort((-near.agreement[kept], high[kept], low[kept]))]
    fresh = np.ones(len(kept), bool)
    fresh[1:] = (low[kept][1:] != low[kept][:-1]) | (high[kept][1:] != high[kept][:-1])
    kept = kept[fresh]
    return Near(low[kept], high[kept], near.mirrored[kept], near.agreement[kept], near.limit)
