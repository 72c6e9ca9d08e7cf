"""The confusion matrix for the HTML report: a table for few classes, a picture and the worst pairs for many."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

MOST_IN_TABLE = 20
MOST_PAIRS = 20
MOST_PIXELS = 480  # a side of the picture, which is about as large on the page
_LEVELS = (0.0, 0.02, 0.1, 0.3, 0.6, 0.9)  # shares of a row from which the next deeper shade begins
# the shades of style.css's light page, as the picture's palette
_PALETTE = "ffffff", "e3eff8", "c0dcef", "8fc1e0", "4f97c6", "005a8f"


@dataclass(frozen=True)
class Matrix:
    """Counts (K, K), rows the true classes, with the shade (0 to 5) of each by its share of the row; of many classes
    a PNG, one pixel for `block` × `block` cells, the deepest of them. `pairs`: (class, taken for, how often, its share
    of the class), most often first."""

    counts: list[list[int]]
    shades: list[list[int]]
    pairs: list[tuple[int, int, int, float]]
    num_right: int
    total: int
    picture: bytes | None
    block: int


def confusion(counts: Sequence[Sequence[int]]) -> Matrix:
    """Prepare counts for the page."""
    table = np.asarray(counts, dtype=np.int64)
    sums = table.sum(axis=1, keepdims=True)
    shares = table / np.maximum(sums, 1)
    shades = np.where(table > 0, np.digitize(shares, _LEVELS[1:]).clip(1), 0)
    wrong = table - np.diag(np.diag(table))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    rows, columns = np.unravel_index(order, wrong.shape)
    pairs = [
        (int(row), int(column), int(wrong[row, column]), float(shares[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if wrong[row, column]
    ]
    small = len(table) <= MOST_IN_TABLE
    block = -(-len(table) // MOST_PIXELS)
    return Matrix(
        counts=table.tolist() if small else [],
        shades=shades.tolist() if small else [],
        pairs=pairs,
        num_right=int(np.trace(table)),
        total=int(table.sum()),
        picture=None if small else _png(shades.astype(np.uint8), block),
        block=block,
    )


def _png(shades: npt.NDArray[np.uint8], block: int) -> bytes:
    over = -len(shades) % block
    padded = np.pad(shades, (0, over))
    side = len(padded) // block
    deepest = padded.reshape(side, block, side, block).max(axis=(1, 3))
    picture = Image.new("P", (side, side))
    picture.putdata(deepest.reshape(-1).tolist())
    picture.putpalette(bytes.fromhex("".join(_PALETTE)))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
