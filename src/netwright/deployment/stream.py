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
from netwright.deployment.batch_size import BatchSize
from netwright.deployment.engine_choice import EngineChoice
from netwright.deployment.prediction import Answer
from netwright.deployment.predictor import Predictor
from netwright.deployment.readers import Readers
from netwright.errors import NetwrightError
from netwright.runtime.machine import available_cores

Source = tuple[Any, str]  # what the transform decodes, and a name for it
Read = list[Array | str]  # decoded pixels (H, W, C), or why there are none
_MOST_THREADS = 8
_AHEAD = 2  # batches that are read while a GPU computes


def predict_stream(
    predictor: Predictor,
    sources: Iterable[Source],
    batch_size: int | None = None,
    choice: EngineChoice | None = None,
) -> Iterator[list[Answer]]:
    """Yield the answers batch by batch, in the order of `sources`; what can't be read gets an error as its answer.

    `batch_size` None: the first batches try some sizes, and the quickest an image is kept. `choice` says what computes;
    None: torch, as the run was trained."""
    network = _Network(predictor, batch_size, choice)
    ahead = _AHEAD if predictor.machine.device.type != "cpu" else 0
    remaining = iter(sources)
    waiting: deque[tuple[list[str], list[Future[Read]]]] = deque()
    most = min(_MOST_THREADS, available_cores())
    readers = Readers(most, timed=ahead == 0)  # what is read ahead is waited for less long than it takes
    with quiet_pillow(), ThreadPoolExecutor(most) as pool:
        while True:
            while len(waiting) <= ahead and (some := list(islice(remaining, network.batch_size))):
                number, start = readers.number, perf_counter()
                parts = (some[place::number] for place in range(number))  # one task a thread: 20 µs, not 20 an image
                waiting.append(([name for _, name in some], [pool.submit(_read, predictor, part) for part in parts]))
            if not waiting:
                return
            names, tasks = waiting.popleft()
            read = _in_order([task.result() for task in tasks], len(names))
            readers.took(perf_counter() - start, len(names))
            yield _answer(network, read, names)


def predict_array(
    predictor: Predictor, images: Array, batch_size: int | None = None, choice: EngineChoice | None = None
) -> Iterator[list[Answer]]:
    """Yield the answers for an array (N, H, W) or (N, H, W, C) that `Predictor.takes_whole`, batch by batch.

    Sources are named by their place. An image of an array costs 8 µs less so than one by one."""
    images = images[..., None] if images.ndim == 3 else images
    network, start = _Network(predictor, batch_size, choice), 0
    while start < len(images):
        pixels = to_channels(images[start : start + network.batch_size], predictor.transform.channels)
        rows = network.rows(torch.from_numpy(np.ascontiguousarray(pixels)))
        yield [predictor.prediction(str(start + place), row) for place, row in enumerate(rows)]
        start += len(rows)


class _Network:
    """The predictor at work: its batches' size, and the engine that computes them, are found on the way."""

    def __init__(self, predictor: Predictor, batch_size: int | None, choice: EngineChoice | None) -> None:
        self.predictor, self._choice = predictor, choice
        self._sizes = BatchSize(predictor, batch_size)

    @property
    def batch_size(self) -> int:
        return self._sizes.size

    def rows(self, pixels: Tensor) -> Array:
        """Compute pixels (B, H, W, C) -> what each answer is made of, as `Predictor.rows`."""
        start = perf_counter()
        images = self.predictor.finish(pixels)
        if self._choice is not None:
            self._choice.begin(images)
        rows = self.predictor.rows(images)
        seconds = perf_counter() - start
        self._sizes.took(seconds, len(rows))
        if self._choice is not None and self._choice.took(seconds, images):
            self._sizes.begin()
        return rows


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


def _answer(network: _Network, read: Read, names: list[str]) -> list[Answer]:
    """Run the network on the pictures that were read."""
    answer = network.predictor.prediction
    pixels = [made for made in read if not isinstance(made, str)]
    rows = iter(network.rows(_stacked(pixels)) if pixels else ())
    return [
        answer(name, error=made) if isinstance(made, str) else answer(name, next(rows))
        for made, name in zip(read, names, strict=True)
    ]


def _stacked(pixels: list[Array]) -> Tensor:
    return torch.from_numpy(np.stack(pixels))
