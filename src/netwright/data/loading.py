"""The user's own data set, read batch by batch: in this process, or ahead of time in torch's DataLoader's workers."""

import multiprocessing
import pickle
import sys
from collections.abc import Generator, Iterable
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from netwright.data.boxes import cut_boxes
from netwright.data.cutting import choose_boxes
from netwright.data.items import as_picture, name_of_item, read_item, ready_item
from netwright.data.labelled import ItemImages
from netwright.data.transform import EvalTransform
from netwright.data.workers import Places, Request, Trouble, read_ahead
from netwright.errors import DataError
from netwright.runtime.machine import available_cores

if TYPE_CHECKING:
    from netwright.data.augment import Augment

WORTH_SECONDS = 0.001  # an item: handing a batch of small items over costs a worker 0.1 to 0.3 ms each
MOST_WORKERS = 4
_TIMED_ITEMS = 8


class ItemReader:
    """Reads a split's batches from the user's data set: visits (B,), see `order`, and an epoch -> pixels (B, H, W, C).

    Each item is read under the seed of (seed, epoch, visit), so it is the same in whatever process. `redrawn`: what the
    data set draws differs from epoch to epoch (training); else it is that of epoch 0. A worker that is at one item for
    `timeout_seconds` counts as hung."""

    def __init__(
        self,
        items: ItemImages,
        transform: EvalTransform,
        augment: "Augment | None",
        *,
        seed: int,
        redrawn: bool,
        workers: int = 0,
        timeout_seconds: float = 120.0,
    ) -> None:
        self._items, self._transform, self._augment = items, transform, augment
        self._seed, self._redrawn, self._workers = seed, redrawn, workers
        self._places, self._seconds = Places(workers), timeout_seconds

    def read(self, visits: Tensor, epoch: int) -> Tensor:
        """Read one batch in this process. Raises DataError, with its number, for an item that can't be read."""
        rows = [visit % len(self._items) for visit in visits.tolist()]
        drawn = epoch if self._redrawn else 0
        images = []
        for row, visit in zip(rows, visits.tolist(), strict=True):
            self._places.begin(row)
            images.append(read_item(self._items, row, self._seed, drawn, visit=visit))
        self._places.end()
        transform = self._transform
        if transform.kind == "ready":
            shape = (transform.channels, *transform.image_size)
            return torch.stack([ready_item(image, shape, row) for row, image in zip(rows, images, strict=True)])
        decoded = [transform.decode(as_picture(image)) for image in images]
        if transform.whole:
            boxes = choose_boxes(
                np.array([one.shape[:2] for one in decoded], np.int64), visits, epoch, transform, self._augment
            )
            return cut_boxes(decoded, boxes, transform.image_size)
        return torch.from_numpy(np.stack(decoded))

    def ahead(self, batches: Iterable[Tensor], epoch: int) -> Generator[Tensor, None, None]:
        """Yield the pixels of each batch of visits, in order; workers read the next ones meanwhile.

        No worker is left when this is closed. Raises DataError as `read` does, and when workers die or hang twice."""
        if not self._workers:
            for visits in batches:
                yield self.read(visits, epoch)
            return
        requests: list[Request] = [(visits.tolist(), epoch) for visits in batches]
        trouble = Trouble(lambda row: name_of_item(self._items, row), self._seconds)
        yield from read_ahead(self._answer, requests, self._places, trouble)

    def _answer(self, request: Request) -> Tensor | DataError:
        """Read a batch in a worker; an item that can't be read is an answer, not a traceback from elsewhere."""
        try:
            return self.read(torch.tensor(request[0], dtype=torch.int64), request[1])
        except DataError as error:
            return DataError(str(error))


def choose_workers(items: ItemImages | None, wanted: int | str) -> tuple[int, str | None]:
    """Return how many processes read the user's data set, and a notice where they can't as asked.

    `auto`: as many as there are cores, at most 4, where reading an item takes 1 ms or more; else none."""
    if items is None or wanted == 0:
        return 0, None
    if isinstance(wanted, str):
        wanted = min(MOST_WORKERS, available_cores())
        if wanted == 1 or _seconds_an_item(items) < WORTH_SECONDS:
            return 0, None
    reason = why_no_workers(items, multiprocessing.get_start_method())
    if reason is None:
        return wanted, None
    return 0, f"your Dataset is read in the main process, without workers: {reason}"


def why_no_workers(items: ItemImages, start_method: str) -> str | None:
    """Say why a data set can't be sent to other processes; None when it can. Forked processes have it already."""
    if start_method == "fork":
        return None
    here = [data for data in items.datasets if type(data).__module__ == "__main__"]
    if here and not hasattr(sys.modules["__main__"], "__file__"):
        return f"{type(here[0]).__name__} is defined in a notebook or console; move it into a module"
    try:
        pickle.dumps(items.datasets)
    except Exception as error:
        return f"it can't be pickled ({' '.join(str(error).split())[:120]})"
    return None


def _seconds_an_item(items: ItemImages) -> float:
    last = len(items) - 1
    seconds = []
    for row in sorted({last * place // _TIMED_ITEMS for place in range(_TIMED_ITEMS)}):
        start = perf_counter()
        read_item(items, row, 0, 0)
        seconds.append(perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2]
