"""Predicting as many images as there are in flat memory: read some, run them, hand the answers on.

On a CPU reading and computing take turns, each on all cores: with anything busy beside them, the network's threads wait
for each other. On a GPU the next images are read while it computes.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.data.channels import to_channels
from netwright.data.decode import quiet_pillow
from netwright.data.labelled import Array
from netwright.deployment.prediction import Answer
from netwright.deployment.predictor import Predictor
from netwright.errors import NetwrightError
from netwright.runtime.machine import available_cores

Source = tuple[Any, str]  # what the transform decodes, and a name for it
Read = list[Array | str]  # decoded pixels (H, W, C), or why there are none
_MOST_THREADS = 8
_AHEAD = 2  # batches that are read while a GPU computes
_FIRST_BYTES = 2 * 2**20  # of float32 input in the smallest batch that is tried


def predict_stream(
    predictor: Predictor, sources: Iterable[Source], batch_size: int | None = None
) -> Iterator[list[Answer]]:
    """Yield the answers batch by batch, in the order of `sources`; what can't be read gets an error as its answer.

    `batch_size` None: the first batches try some sizes, and the quickest an image is kept."""
    batches = BatchSize(predictor, batch_size)
    ahead = _AHEAD if predictor.machine.device.type != "cpu" else 0
    remaining = iter(sources)
    waiting: deque[tuple[list[str], list[Future[Read]]]] = deque()
    threads = min(_MOST_THREADS, available_cores())
    with quiet_pillow(), ThreadPoolExecutor(threads) as pool:
        while True:
            while len(waiting) <= ahead and (some := list(islice(remaining, batches.size))):
                parts = (some[place::threads] for place in range(threads))  # one task a thread: 20 µs, not 20 an image
                waiting.append(([name for _, name in some], [pool.submit(_read, predictor, part) for part in parts]))
            if not waiting:
                return
            names, tasks = waiting.popleft()
            read = _in_order([task.result() for task in tasks], len(names))
            start = perf_counter()
            answers = _answer(predictor, read, names)
            batches.took(perf_counter() - start, len(names))
            yield answers


def predict_array(predictor: Predictor, images: Array, batch_size: int | None = None) -> Iterator[list[Answer]]:
    """Yield the answers for an array (N, H, W) or (N, H, W, C) that `Predictor.takes_whole`, batch by batch.

    Sources are named by their place. An image of an array costs 8 µs less so than one by one."""
    images = images[..., None] if images.ndim == 3 else images
    batches, start = BatchSize(predictor, batch_size), 0
    while start < len(images):
        began = perf_counter()
        pixels = to_channels(images[start : start + batches.size], predictor.transform.channels)
        rows = predictor.rows(predictor.finish(torch.from_numpy(np.ascontiguousarray(pixels))))
        batches.took(perf_counter() - began, len(rows))
        yield [predictor.prediction(str(start + place), row) for place, row in enumerate(rows)]
        start += len(rows)


class BatchSize:
    """The size of the next batch: as given, or what was quickest of some that were tried on the way."""

    def __init__(self, predictor: Predictor, given: int | None) -> None:
        channels, (height, width) = predictor.bundle.in_channels, predictor.bundle.image_size
        fitting = _FIRST_BYTES // (4 * channels * height * width)
        first = min(512, max(8, 1 << max(0, fitting.bit_length() - 1)))
        # the first twice: what a first call sets up is not its cost
        self._untried = [given or first, *([] if given else [first, 2 * first, 4 * first])]
        self._seconds: dict[int, float] = {}

    @property
    def size(self) -> int:
        if self._untried:
            return self._untried[0]
        return min(self._seconds, key=self._seconds.__getitem__)

    def took(self, seconds: float, num_images: int) -> None:
        """Note what a batch took; a smaller one, as at the end, says nothing."""
        if self._untried and num_images == self._untried[0]:
            self._seconds[self._untried.pop(0)] = seconds / num_images


def _read(predictor: Predictor, sources: list[Source]) -> Read:
    """Decode some pictures; a reason in the place of each that can't be."""
    read: Read = []
    for source, _ in sources:
        try:
            read.append(predictor.pixels(source))
        except NetwrightError as error:
            read.append(str(error))
    return read


def _in_order(parts: list[Read], number: int) -> Read:
    """Put back together what was dealt out to the threads in turn."""
    return [parts[place % len(parts)][place // len(parts)] for place in range(number)]


def _answer(predictor: Predictor, read: Read, names: list[str]) -> list[Answer]:
    """Run the network on the pictures that were read."""
    answer = predictor.prediction
    pixels = [made for made in read if not isinstance(made, str)]
    rows = iter(predictor.rows(predictor.finish(_stacked(pixels))) if pixels else ())
    return [
        answer(name, error=made) if isinstance(made, str) else answer(name, next(rows))
        for made, name in zip(read, names, strict=True)
    ]


def _stacked(pixels: list[Array]) -> Tensor:
    return torch.from_numpy(np.stack(pixels))
