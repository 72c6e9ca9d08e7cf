"""Decoding a data set: in parallel, once; of files and fixed items the result is kept for all later runs."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.data.channels import to_channels
from netwright.data.decode import quiet_pillow
from netwright.data.decoding import decoding_key
from netwright.data.file_facts import check_unchanged, file_facts
from netwright.data.fingerprint import sample_digests
from netwright.data.items import as_picture, read_fixed_item
from netwright.data.labelled import Array, ArrayImages, FileImages, ImageSource, ItemImages, LabelledData, Rows
from netwright.data.odd_images import flat_notices, is_flat
from netwright.data.transform import EvalTransform
from netwright.errors import DataError
from netwright.files.blocks import Block, Say, find_block, open_block, spare_values

_CHUNK = 256
_MOST_THREADS = 8
_TOLD_SECONDS = 15.0


@dataclass(frozen=True, eq=False)
class Decoded:
    """`pixels` (M, H, W, C) of the rows that `rows` names in order, or of all when it is None.

    `bad` says of each row that could not be decoded what is wrong with it, `notices` how the pixels came."""

    pixels: Array
    rows: Rows | None
    bad: dict[int, str]
    notices: tuple[str, ...] = ()


def decode(labelled: LabelledData, rows: Rows, transform: EvalTransform, say: Say | None = None) -> Decoded:
    """Return the pixels of some rows: mapped where they are kept, else decoded, and kept if they are files or items.

    Arrays that fit already are used where they lie, without a copy. Raises MachineError when memory and disk are full,
    DataError when a file can't be hashed."""
    images = labelled.images
    if isinstance(images, ArrayImages):
        return _of_arrays(images, rows, transform)
    whole = np.arange(len(images), dtype=np.int64)
    block = None if len(rows) == len(images) else find_block(_key(images, whole, transform))
    chosen = whole if block is not None else rows
    shape = (len(chosen), *transform.store_size, transform.channels)
    if block is None:
        height, width, channels = shape[1:]
        title = f"{labelled.name}: {len(rows):,} images, {height} × {width} {'gray' if channels == 1 else 'RGB'}"
        block = open_block(
            _key(images, rows, transform),
            title=title,
            size=int(np.prod(shape, dtype=np.int64)),
            dtype="uint8",
            fill=lambda values: fill_rows(images, rows, transform, values.reshape(shape).__setitem__, say),
            say=say,
        )
    pixels = block.values.reshape(shape)
    still = _still_bad(block, images, chosen, transform, pixels)
    bad = {row: still[row] for row in rows.tolist() if row in still}
    return Decoded(pixels, None if len(chosen) == len(images) else chosen, bad, notices_of(labelled, block, chosen))


def fill_rows(
    images: ImageSource, rows: Rows, transform: EvalTransform, put: Callable[[int, Array], None], say: Say | None
) -> dict[str, Any]:
    """Decode rows as `decode_rows` does; return what is kept beside the pixels: places of the bad and flat ones."""
    flat: list[int] = []

    def look_and_put(place: int, pixels: Array) -> None:
        put(place, pixels)
        if pixels.dtype == np.uint8 and is_flat(pixels):
            flat.append(place)

    return {"bad": decode_rows(images, rows, transform, look_and_put, say), "flat": sorted(flat)}


def notices_of(labelled: LabelledData, block: Block, rows: Rows) -> tuple[str, ...]:
    """Return how the pixels of rows came, and which of them are flat."""
    flat = rows[np.array(block.meta["flat"], np.int64)].tolist()
    return block.notices + flat_notices(labelled, flat, len(rows))


def _key(images: ImageSource, rows: Rows, transform: EvalTransform) -> dict[str, Any]:
    digests = hashlib.sha256(sample_digests(images)[rows].data).hexdigest()
    return {"kind": "pixels", "images": digests, "decoding": decoding_key(transform)}


def _still_bad(
    block: Block, images: ImageSource, rows: Rows, transform: EvalTransform, pixels: Array
) -> dict[int, str]:
    """Return row -> reason of the bad ones, tried again: memory or file handles may have been short, once."""
    if not block.meta["bad"]:
        return {}
    places = [place for place, _ in block.meta["bad"]]
    again = decode_rows(images, rows[places], transform, lambda place, made: pixels.__setitem__(places[place], made))
    return {int(rows[places[place]]): reason for place, reason in again}


def decode_rows(
    images: ImageSource,
    rows: Rows,
    transform: EvalTransform,
    put: Callable[[int, Array], None],
    say: Say | None = None,
) -> list[tuple[int, str]]:
    """Decode rows in parallel where that is safe and `put(i, pixels)` each, i its place in `rows`.

    Return (place, reason) of the bad ones. `say` hears every 15 seconds how far it is."""
    read = _reader(images, transform)
    bad: list[tuple[int, str]] = []

    def each(places: Iterator[int]) -> None:
        for place in places:
            try:
                put(place, read(int(rows[place])))
            except DataError as error:
                bad.append((place, str(error)))

    parallel = not isinstance(images, ItemImages) or images.parallel
    threads = min(_MOST_THREADS, os.cpu_count() or 1) if parallel else 1
    told = time.monotonic()
    # in chunks: an interruption waits for 256 images, not for all
    with quiet_pillow(), ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(rows), _CHUNK):
            # one iterator for all threads: 244 photographs take 196 ms with a task an image, so 168
            places = iter(range(start, min(start + _CHUNK, len(rows))))
            list(pool.map(each, [places] * threads))
            if say is not None and time.monotonic() - told > _TOLD_SECONDS:
                told = time.monotonic()
                say(f"decoded {min(start + _CHUNK, len(rows)):,} of {len(rows):,} images")
    return sorted(bad)


def _reader(images: ImageSource, transform: EvalTransform) -> Callable[[int], Array]:
    if isinstance(images, FileImages):
        facts = file_facts(images)

        def read(row: int) -> Array:
            pixels = transform.decode(images.paths[row])
            check_unchanged(images.paths[row], facts[row])
            return pixels

        return read
    if isinstance(images, ArrayImages):
        return lambda row: transform.decode(images.pixels[row])
    assert isinstance(images, ItemImages)
    return lambda row: transform.decode(as_picture(read_fixed_item(images, row)))


def _of_arrays(images: ArrayImages, rows: Rows, transform: EvalTransform) -> Decoded:
    pixels = to_channels(images.pixels, transform.channels)
    if pixels.shape[1:3] == transform.store_size:
        return Decoded(_for_torch(pixels), None, {})
    images = ArrayImages(pixels, images.value_range)
    shape = (len(rows), *transform.store_size, transform.channels)
    dtype = np.dtype(np.uint8 if pixels.dtype == np.uint8 else np.float32)
    made = spare_values(int(np.prod(shape, dtype=np.int64)), dtype).reshape(shape)
    bad = {int(rows[place]): reason for place, reason in decode_rows(images, rows, transform, made.__setitem__)}
    return Decoded(made, None if len(rows) == len(images) else rows, bad)


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
