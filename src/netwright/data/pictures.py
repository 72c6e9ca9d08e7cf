"""Whole pictures, each of its own size, in one flat block: what a random resized crop cuts from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from netwright.data.labelled import Array, Rows
from netwright.errors import DataError
from netwright.files.block_file import write_at


@dataclass(frozen=True, eq=False)
class Pictures:
    """N pictures (h_i, w_i, C): `values` is flat, uint8 or float32; `sizes` (N, 2) are heights and widths in pixels.

    A row that is not in use has the size 0 × 0."""

    values: Array
    offsets: Rows
    sizes: Rows
    channels: int

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, row: int) -> Array:
        """Return the pixels of one row, (h_i, w_i, C), where they lie."""
        (height, width), start = self.sizes[row], self.offsets[row]
        return self.values[start : start + height * width * self.channels].reshape(height, width, self.channels)

    def put(self, row: int, pixels: Array) -> None:
        """Write the pixels of one row. Raises DataError where they are not of the size that its header said."""
        place = self[row]
        if pixels.shape != place.shape:
            said = f"{place.shape[1]} × {place.shape[0]}"
            raise DataError(
                f"image {row}: decoded to {pixels.shape[1]} × {pixels.shape[0]} pixels, its header says {said}"
            )
        write_at(self.values, int(self.offsets[row]), pixels)


def offsets_of(sizes: Rows, channels: int) -> tuple[Rows, int]:
    """Return where each picture of sizes (N, 2) begins in the flat block (N,), and the block's length."""
    lengths = sizes.prod(axis=1) * channels
    ends = np.cumsum(lengths)
    return ends - lengths, int(ends[-1]) if len(ends) else 0


def joined(pictures: dict[int, Array], num_rows: int, channels: int, dtype: DTypeLike) -> Pictures:
    """Put pictures (h_i, w_i, C) of some rows into one block; the others are not in use."""
    sizes = np.zeros((num_rows, 2), np.int64)
    for row, pixels in pictures.items():
        sizes[row] = pixels.shape[:2]
    offsets, length = offsets_of(sizes, channels)
    values = np.empty(length, dtype)
    whole = Pictures(values, offsets, sizes, channels)
    for row, pixels in pictures.items():
        whole[row][...] = pixels
    return whole
