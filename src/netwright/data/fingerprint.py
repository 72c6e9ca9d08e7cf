"""Fingerprints of data: of every sample, of all, and of each split whatever its order."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from netwright.data.file_facts import file_facts
from netwright.data.items import picture_bytes, read_fixed_item
from netwright.data.labelled import (
    Array,
    ArrayImages,
    FileImages,
    ImageSource,
    ItemImages,
    LabelledData,
    RowImages,
    Rows,
)

Digests = npt.NDArray[np.uint8]
READY_SAMPLES = 64
_TOGETHER = 4096  # images: taken out of the array one by one, CIFAR-10 takes 0.20 s in place of 0.17
_known: WeakKeyDictionary[ImageSource, Digests] = WeakKeyDictionary()


def sample_digests(images: ImageSource) -> Digests:
    """Return a SHA-256 (N, 32) uint8 for each sample: of a file's bytes, or of pixels with their dtype and shape.

    Zeros stand for a file that is not there or may not be read: decoding names it, with all the others that are bad.

    Items that are read anew every time can't all be read in advance: 64 of them, evenly spaced, are hashed under seed
    0 and stand for the rest. Raises DataError when a file can't be read."""
    if images not in _known:
        _known[images] = _digests(images)
    return _known[images]


def _digests(images: ImageSource) -> Digests:
    if isinstance(images, ArrayImages):
        return _array_digests(images.pixels)
    if isinstance(images, FileImages):
        return file_facts(images).digests()
    if isinstance(images, RowImages):
        return _row_digests(images)
    assert isinstance(images, ItemImages)
    if images.kind == "fixed":
        with ThreadPoolExecutor(8 if images.parallel else 1) as pool:
            return _stack(list(pool.map(lambda row: _item_digest(images, row), range(len(images)))))
    whole = _stack([b"\0" * 32] * len(images))
    for row in np.unique(np.linspace(0, len(images) - 1, READY_SAMPLES).astype(int)):
        whole[row] = np.frombuffer(_item_digest(images, int(row)), np.uint8)
    return whole


def _row_digests(images: RowImages) -> Digests:
    """Hash each row's values in the order of the columns; what is missing counts as a value of its own."""
    head = "\0".join(f"{name}={images.kinds[name]}" for name in images.values).encode()
    columns = [column.tolist() for column in images.values.values()]
    return _stack([hashlib.sha256(head + repr(row).encode()).digest() for row in zip(*columns, strict=True)])


def _array_digests(pixels: Array) -> Digests:
    """Hash each image of (N, h, w, C); 0.17 s for the 60,000 of CIFAR-10."""
    head = hashlib.sha256(f"{pixels.dtype.str} {pixels.shape[1:]} ".encode())
    found = []
    for start in range(0, len(pixels), _TOGETHER):
        block = np.ascontiguousarray(pixels[start : start + _TOGETHER])
        flat, size = block.reshape(-1).view(np.uint8).data, block[0].nbytes
        for first in range(0, len(flat), size):
            digest = head.copy()
            digest.update(flat[first : first + size])
            found.append(digest.digest())
    return _stack(found)


def _item_digest(images: ItemImages, row: int) -> bytes:
    return hashlib.sha256(picture_bytes(read_fixed_item(images, row))).digest()


def _stack(digests: list[bytes]) -> Digests:
    return np.frombuffer(bytearray(b"".join(digests)), np.uint8).reshape(len(digests), 32)


def fingerprint(labelled: LabelledData) -> str:
    """Return the SHA-256 of class names, targets and all samples, in their order."""
    whole = hashlib.sha256(json.dumps(labelled.class_names).encode())
    whole.update(_as_bytes(labelled.targets).data)
    whole.update(sample_digests(labelled.images).data)
    return whole.hexdigest()


def split_fingerprint(labelled: LabelledData, rows: Rows) -> str:
    """Return the SHA-256 of one split as a multiset of (sample, class name or number): equal whatever its order."""
    names = [hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in labelled.class_names]
    digests = sample_digests(labelled.images)
    if labelled.task == "classification":
        pairs = sorted(digests[row].tobytes() + names[labelled.targets[row]] for row in rows)
    else:
        numbers = _as_bytes(labelled.targets)
        pairs = sorted(digests[row].tobytes() + numbers[row].tobytes() for row in rows)
    return hashlib.sha256(b"".join(pairs)).hexdigest()


def _as_bytes(targets: Array) -> Array:
    """Return targets in the byte order of every machine: int64, or float64 numbers."""
    return np.ascontiguousarray(targets, dtype="<f8" if targets.dtype.kind == "f" else "<i8")
