"""Exact per-channel mean and standard deviation of the training pixels."""

import numpy as np
import torch
from torch import Tensor

from netwright.data.labelled import Rows
from netwright.data.store import Store
from netwright.data.transform import EvalTransform

_BLOCK_BYTES = 2**24


def channel_statistics(
    store: Store, rows: Rows, transform: EvalTransform
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return (mean, std), one number a channel, of pixels in [0, 1] after the centre crop, over some rows.

    The standard deviation is the population's. uint8 is summed in integers, so exact to the
    last bit and independent of the order; other dtypes in float64, in two passes."""
    pixels = store.pixels
    blocks = _blocks(pixels, rows if store.places is None else store.places.numpy()[rows])
    if pixels.dtype == torch.uint8:
        return _of_bytes(pixels, blocks, transform)
    count, total = 0, np.zeros(pixels.shape[3])
    for block in blocks:
        part = _unit_float64(pixels, block, transform)
        count, total = count + part.shape[0], total + part.sum(axis=0)
    mean = total / count
    squares = sum(np.square(_unit_float64(pixels, block, transform) - mean).sum(axis=0) for block in blocks)
    return tuple(map(float, mean)), tuple(map(float, np.sqrt(squares / count)))


def _blocks(pixels: Tensor, rows: Rows) -> list[Rows]:
    bytes_each = max(1, pixels[:1].numel() * 8)
    step = max(1, _BLOCK_BYTES // bytes_each)
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _of_bytes(
    pixels: Tensor, blocks: list[Rows], transform: EvalTransform
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    count, sums, squares = 0, [0] * pixels.shape[3], [0] * pixels.shape[3]
    for block in blocks:
        part = transform.crop(pixels[torch.from_numpy(block)]).reshape(-1, pixels.shape[3]).to(torch.int32)
        count += len(part)
        for channel, (total, square) in enumerate(
            zip(part.sum(0).tolist(), part.square().sum(0).tolist(), strict=True)
        ):
            sums[channel] += total
            squares[channel] += square
    mean = tuple(total / count / 255 for total in sums)
    # exact integers up to the square root: no cancellation
    variance = ((square * count - total**2) / count**2 for total, square in zip(sums, squares, strict=True))
    return mean, tuple(float(np.sqrt(value)) / 255 for value in variance)


def _unit_float64(
    pixels: Tensor, block: Rows, transform: EvalTransform
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    black, white = transform.value_range or (0.0, 1.0)
    part = transform.crop(pixels[torch.from_numpy(block)]).to(torch.float64).numpy()
    return (part.reshape(-1, part.shape[-1]) - black) / (white - black)
