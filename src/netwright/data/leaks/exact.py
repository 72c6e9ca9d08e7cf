"""Equal images: the same bytes, or other bytes that decode to the same pixels."""

import hashlib
from pathlib import Path

import numpy as np

from netwright.data.decode import decode_picture, quiet_pillow
from netwright.data.fingerprint import Digests
from netwright.data.labelled import Array, FileImages, ImageSource, Rows
from netwright.errors import DataError


def equal_rows(digests: Digests) -> tuple[Rows, Rows]:
    """Return for each row the first one of the same content (N,), and these firsts in the order of their digests.

    A digest of zeros is that of a file that can't be read: equal to nothing, and in none of the two."""
    heads = digests[:, :8].copy().view(">u8")[:, 0]
    order = np.argsort(heads, kind="stable")
    ordered = digests[order]
    starts = np.ones(len(order), bool)
    starts[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    unreadable: Array = np.logical_not(np.any(ordered, axis=1))
    starts |= unreadable
    firsts = order[starts]
    content = np.empty(len(order), np.int64)
    content[order] = firsts[np.cumsum(starts) - 1]
    return content, firsts[~unreadable[starts]].astype(np.int64)


def same_pixels(images: ImageSource, first: Rows, second: Rows) -> Array:
    """Say of pairs of rows (P,) whether the files decode to the same pixels; of arrays the digests have said it."""
    if not isinstance(images, FileImages):
        return np.zeros(len(first), bool)
    known: dict[int, bytes] = {}
    with quiet_pillow():
        for row in np.unique(np.concatenate([first, second])):
            known[int(row)] = _pixels_digest(images.paths[row], images.value_range)
    pairs = zip(first, second, strict=True)
    digests = ((known[int(one)], known[int(other)]) for one, other in pairs)
    return np.array([one == other and one != b"" for one, other in digests], bool)


def _pixels_digest(path: Path, window: tuple[float, float] | None) -> bytes:
    try:
        picture = decode_picture(path, 3, window=window)
    except DataError:
        return b""
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).digest()
