"""The decoded store: every image once, resized, in one block of memory or one mapped file."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.data.channels import to_channels
from netwright.data.decode import GRAY_MODES, Header, quiet_pillow, read_header
from netwright.data.items import as_picture, read_item
from netwright.data.labelled import Array, ArrayImages, FileImages, ImageSource, ItemImages, Rows
from netwright.data.transform import EvalTransform
from netwright.errors import DataError
from netwright.files.atomic import explained
from netwright.files.folders import cache_folder

IN_MEMORY_BYTES = 2 * 2**30
ON_DEVICE_BYTES = 4 * 2**30
SCANNED_ITEMS = 64
_CHUNK = 256


@dataclass(eq=False)
class Store:
    """Decoded images: `pixels` (N, H, W, C), uint8 or the dtype of the user's arrays; `targets` (N,) int64.

    Row i is sample i of the labelled data. Items that are read anew every time have no pixels here but `items`."""

    pixels: Tensor
    targets: Tensor
    items: ItemImages | None = None
    _copies: dict[torch.device, "Store"] = field(default_factory=dict, repr=False)

    def gather(self, rows: Tensor) -> Tensor:
        """Return the pixels (B, H, W, C) of rows (B,) int64: uint8, or float32 for every other dtype."""
        # 4 µs where pixels[rows] takes 60 (64 rows of 28 × 28): whole rows are copied, not element by element
        pixels = self.pixels.index_select(0, rows)
        return pixels if pixels.dtype == torch.uint8 else pixels.to(torch.float32)

    def on(self, device: torch.device) -> "Store":
        """Return the store on a device when it is small enough to live there (4 GiB), else itself."""
        size = self.pixels.numel() * self.pixels.element_size()
        if device.type != "cuda" or self.items is not None or size > ON_DEVICE_BYTES or self.pixels.device == device:
            return self
        if device not in self._copies:
            pixels = self.pixels if self.pixels.dtype == torch.uint8 else self.pixels.to(torch.float32)
            self._copies[device] = Store(pixels.to(device), self.targets.to(device))
        return self._copies[device]


@dataclass(frozen=True)
class Scan:
    """What can be said of images before decoding: distinct (height, width), modes, all gray or not, the bad ones."""

    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    gray: bool
    bad: dict[int, str]
    num_animated: int = 0


def scan(images: ImageSource, rows: Rows) -> Scan:
    """Look at sizes and modes: all files' headers, arrays by their shape, 64 evenly spaced items of data sets."""
    if isinstance(images, ArrayImages):
        _, height, width, channels = images.pixels.shape
        mode = f"{images.pixels.dtype} {'gray' if channels == 1 else 'RGB'}"
        return Scan(Counter({(height, width): len(rows)}), Counter({mode: len(rows)}), channels == 1, {})
    if isinstance(images, FileImages):
        return _summary(zip(rows, _in_threads(lambda row: read_header(images.paths[row]), rows), strict=True))
    assert isinstance(images, ItemImages)
    some = rows[np.unique(np.linspace(0, len(rows) - 1, SCANNED_ITEMS).astype(int))]
    return _summary((row, _attempt(lambda row: _item_header(images, row), int(row))) for row in some)


def _item_header(images: ItemImages, row: int) -> Header:
    picture = as_picture(read_item(images, row, 0, 0))
    if isinstance(picture, np.ndarray):
        return Header(
            picture.shape[0], picture.shape[1], "L" if picture.ndim == 2 or picture.shape[2] == 1 else "RGB", False
        )
    return read_header(picture)


def _summary(found: Iterable[tuple[Any, Header | DataError]]) -> Scan:
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    bad: dict[int, str] = {}
    animated = 0
    for row, header in found:
        if isinstance(header, DataError):
            bad[int(row)] = str(header)
            continue
        sizes[header.height, header.width] += 1
        modes[header.mode] += 1
        animated += header.animated
    return Scan(sizes, modes, bool(modes) and set(modes) <= set(GRAY_MODES), bad, animated)


def build_pixels(images: ImageSource, rows: Rows, transform: EvalTransform) -> tuple[Tensor, dict[int, str]]:
    """Decode some rows into (N, H, W, C); return the pixels and, for each bad row, what is wrong with it.

    Arrays that fit already are used where they lie, without a copy. Raises MachineError when the disk is full."""
    if isinstance(images, ArrayImages):
        pixels = to_channels(images.pixels, transform.channels)
        if pixels.shape[1:3] == transform.store_size:
            return torch.from_numpy(_for_torch(pixels)), {}
        images = ArrayImages(pixels, images.value_range)
    dtype = images.pixels.dtype if isinstance(images, ArrayImages) else np.dtype(np.uint8)
    whole = _allocate(
        (len(images), *transform.store_size, transform.channels), dtype if dtype == np.uint8 else np.dtype(np.float32)
    )
    bad: dict[int, str] = {}
    decode = _decoder(images, transform)
    threads = not isinstance(images, ItemImages) or images.parallel
    with quiet_pillow():
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            decoded = _in_threads(decode, chunk) if threads else (_attempt(decode, int(row)) for row in chunk)
            for row, pixels_or_error in zip(chunk, decoded, strict=True):
                if isinstance(pixels_or_error, DataError):
                    bad[int(row)] = str(pixels_or_error)
                else:
                    whole[row] = pixels_or_error
    return torch.from_numpy(whole), bad


def _decoder(images: ImageSource, transform: EvalTransform) -> Callable[[int], Array]:
    if isinstance(images, FileImages):
        return lambda row: transform.decode(images.paths[row])
    if isinstance(images, ArrayImages):
        return lambda row: transform.decode(images.pixels[row])
    assert isinstance(images, ItemImages)
    if images.parallel:  # torchvision's own readers draw nothing, and seeding is not for several threads
        return lambda row: transform.decode(as_picture(images.item(row)))
    return lambda row: transform.decode(as_picture(read_item(images, row, 0, 0)))


def _in_threads(work: Callable[[int], Any], rows: Rows) -> Iterator[Any]:
    """Map rows through a thread pool (Pillow lets go of the interpreter's lock); a DataError is a result."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda row: _attempt(work, int(row)), rows)


def _attempt(work: Callable[[int], Any], row: int) -> Any:
    try:
        return work(row)
    except DataError as error:
        return error


def _for_torch(pixels: Array) -> Array:
    """Return an array that torch can hold: contiguous, writable, native, of a dtype that torch can index."""
    wider = {
        "uint16": np.int32,
        "uint32": np.int64,
        "uint64": np.float64,
        "longdouble": np.float64,
        "float128": np.float64,
    }
    dtype = np.dtype(wider.get(pixels.dtype.name, pixels.dtype.newbyteorder("=")))
    pixels = np.ascontiguousarray(pixels, dtype=dtype)
    return pixels if pixels.flags.writeable else pixels.copy()


def _allocate(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return zeros, from 2 GiB on in a mapped file of our cache folder that vanishes with the process."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size < IN_MEMORY_BYTES:
        return np.zeros(shape, dtype)
    folder = cache_folder() / "store"
    with explained(folder, size):
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".pixels")
        with os.fdopen(handle, "r+b") as file:
            if hasattr(os, "posix_fallocate"):
                try:
                    os.posix_fallocate(file.fileno(), 0, size)  # a full disk is found now, not as SIGBUS in a thread
                except OSError:
                    Path(name).unlink(missing_ok=True)
                    raise
            mapped: Array = np.memmap(file, dtype=dtype, mode="r+", shape=shape)
        if os.name != "nt":
            Path(name).unlink(missing_ok=True)
    return mapped
