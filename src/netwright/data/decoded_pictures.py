"""Decoding a data set into whole pictures: of files the result is kept for later runs, as `decoded` keeps pixels."""

import hashlib
from typing import Any

import numpy as np

from netwright.data.channels import to_channels
from netwright.data.decoded import decode_rows, fill_rows, notices_of
from netwright.data.decoding import decoding_key
from netwright.data.file_facts import file_facts
from netwright.data.fingerprint import sample_digests
from netwright.data.labelled import Array, ArrayImages, FileImages, ImageSource, LabelledData, Rows
from netwright.data.pictures import Pictures, joined, offsets_of
from netwright.data.transform import EvalTransform
from netwright.files.blocks import Say, find_block, open_block, spare_values

Result = tuple[Pictures, dict[int, str], tuple[str, ...]]


def decode_pictures(labelled: LabelledData, rows: Rows, transform: EvalTransform, say: Say | None = None) -> Result:
    """Return some rows as whole pictures, what is wrong with the bad ones, and notices of how they came.

    Raises MachineError when memory and disk are full, DataError when a file can't be hashed."""
    images = labelled.images
    if isinstance(images, FileImages):
        return _of_files(labelled, images, rows, transform, say)
    if isinstance(images, ArrayImages):
        return _of_arrays(images, rows, transform)
    read: dict[int, Array] = {}  # nobody knows the sizes of items before they are read
    found = decode_rows(images, rows, transform, lambda place, made: read.__setitem__(int(rows[place]), made))
    bad = {int(rows[place]): reason for place, reason in found}
    return joined(read, len(images), transform.channels, np.uint8), bad, ()


def _of_files(
    labelled: LabelledData, images: FileImages, rows: Rows, transform: EvalTransform, say: Say | None
) -> Result:
    """Map the pictures of all files where they are kept, else of the given rows; decode them where they are not."""
    whole = np.arange(len(images), dtype=np.int64)
    block = None if len(rows) == len(images) else find_block(_key(images, whole, transform))
    chosen = whole if block is not None else rows
    sizes = _sizes(images, chosen, transform)
    offsets, length = offsets_of(sizes, transform.channels)

    def fill(values: Array) -> dict[str, Any]:
        pictures = Pictures(values, offsets, sizes, transform.channels)
        kept = fill_rows(images, chosen, transform, lambda place, made: pictures.put(int(chosen[place]), made), say)
        return kept | {"bad": [place for place, _ in kept["bad"]]}

    if block is None:
        title = f"{labelled.name}: {len(rows):,} whole images, {'gray' if transform.channels == 1 else 'RGB'}"
        key = _key(images, rows, transform)
        block = open_block(key, title=title, size=length, dtype="uint8", fill=fill, say=say)
    pictures = Pictures(block.values, offsets, sizes, transform.channels)
    # tried again: memory or file handles may have been short, once
    doubtful = np.intersect1d(chosen[np.array(block.meta["bad"], np.int64)], rows)
    found = decode_rows(images, doubtful, transform, lambda place, made: pictures.put(int(doubtful[place]), made))
    bad = {int(doubtful[place]): reason for place, reason in found}
    return pictures, bad, notices_of(labelled, block, chosen)


def _sizes(images: FileImages, rows: Rows, transform: EvalTransform) -> Rows:
    """Return the sizes (N, 2) in which rows are kept, by the files' headers; 0 × 0 for the others."""
    sizes = np.zeros((len(images), 2), np.int64)
    facts = file_facts(images)
    for row in rows.tolist():
        header = facts[row].header
        if not isinstance(header, str):
            sizes[row] = transform.kept_size((header.height, header.width))
    return sizes


def _key(images: ImageSource, rows: Rows, transform: EvalTransform) -> dict[str, Any]:
    digests = hashlib.sha256(sample_digests(images)[rows].data).hexdigest()
    return {"kind": "pictures", "images": digests, "decoding": decoding_key(transform)}


def _of_arrays(images: ArrayImages, rows: Rows, transform: EvalTransform) -> Result:
    """Use arrays that are small enough where they lie, without a copy."""
    pixels = to_channels(images.pixels, transform.channels)
    dtype = np.dtype(np.uint8 if pixels.dtype == np.uint8 else np.float32)
    kept = transform.kept_size((pixels.shape[1], pixels.shape[2]))
    sizes = np.tile(np.array(kept, np.int64), (len(pixels), 1))
    offsets, length = offsets_of(sizes, transform.channels)
    if kept == pixels.shape[1:3]:
        return Pictures(np.ascontiguousarray(pixels, dtype).reshape(-1), offsets, sizes, transform.channels), {}, ()
    pictures = Pictures(spare_values(length, dtype), offsets, sizes, transform.channels)
    source = ArrayImages(pixels, images.value_range)
    found = decode_rows(source, rows, transform, lambda place, made: pictures.put(int(rows[place]), made))
    return pictures, {int(rows[place]): reason for place, reason in found}, ()
