"""The user's own data set, read batch by batch: in this process, or ahead of time in torch's DataLoader's workers."""

import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from netwright.data.boxes import cut_boxes
from netwright.data.cutting import choose_boxes
from netwright.data.items import as_picture, name_of_item, read_item, ready_item
from netwright.data.labelled import ItemImages
from netwright.data.transform import EvalTransform
from netwright.errors import DataError
from netwright.runtime.machine import available_cores

if TYPE_CHECKING:
    from netwright.data.augment import Augment

WORTH_SECONDS = 0.001  # an item: handing a batch of small items over costs a worker 0.1 to 0.3 ms each
MOST_WORKERS = 4
_TIMED_ITEMS = 8
_DYING_SECONDS = 1.0  # its pipe closes a moment before the system calls a process dead
Request = tuple[list[int], int]  # visits of a batch, epoch


class ItemReader:
    """Reads a split's batches from the user's data set: visits (B,), see `order`, and an epoch -> pixels (B, H, W, C).

    Each item is read under the seed of (seed, epoch, visit), so it is the same in whatever process. `redrawn`: what the
    data set draws differs from epoch to epoch (training); else it is that of epoch 0."""

    def __init__(
        self,
        items: ItemImages,
        transform: EvalTransform,
        augment: "Augment | None",
        *,
        seed: int,
        redrawn: bool,
        workers: int = 0,
    ) -> None:
        self._items, self._transform, self._augment = items, transform, augment
        self._seed, self._redrawn, self._workers = seed, redrawn, workers
        self._at = torch.zeros((max(1, workers), 2), dtype=torch.int64)  # process and row that each worker is at
        if workers:
            self._at.share_memory_()  # type: ignore[no-untyped-call]

    def read(self, visits: Tensor, epoch: int) -> Tensor:
        """Read one batch in this process. Raises DataError, with its number, for an item that can't be read."""
        rows = [visit % len(self._items) for visit in visits.tolist()]
        drawn, info = epoch if self._redrawn else 0, get_worker_info()
        images = []
        for row, visit in zip(rows, visits.tolist(), strict=True):
            if info is not None:
                self._at[info.id, 0], self._at[info.id, 1] = os.getpid(), row
            images.append(read_item(self._items, row, self._seed, drawn, visit=visit))
        transform = self._transform
        if transform.kind == "ready":
            shape = (transform.channels, *transform.image_size)
            return torch.stack([ready_item(image, shape, row) for row, image in zip(rows, images, strict=True)])
        decoded = [transform.decode(as_picture(image)) for image in images]
        if transform.whole:
            boxes = choose_boxes(decoded, visits, epoch, transform, self._augment)
            return cut_boxes(decoded, boxes, transform.image_size)
        return torch.from_numpy(np.stack(decoded))

    def ahead(self, batches: Iterable[Tensor], epoch: int) -> Generator[Tensor, None, None]:
        """Yield the pixels of each batch of visits, in order; workers read the next ones meanwhile.

        No worker is left when this is closed. Raises DataError as `read` does, and when a worker dies."""
        if not self._workers:
            for visits in batches:
                yield self.read(visits, epoch)
            return
        requests: list[Request] = [(visits.tolist(), epoch) for visits in batches]
        # a generator of its own: DataLoader draws a seed, and the default one is dropout's
        loader = DataLoader(
            _Requests(self),
            batch_size=None,
            sampler=requests,
            num_workers=self._workers,
            worker_init_fn=_begin_worker,
            collate_fn=_as_it_is,
            generator=torch.Generator().manual_seed(0),
        )
        read = iter(loader)
        try:
            with _deaths_told_by_next():
                for _ in requests:
                    made = self._next(read)
                    if isinstance(made, DataError):
                        raise made
                    yield made
        finally:
            del read  # ends the workers

    def _next(self, read: Iterator[Any]) -> Any:
        try:
            return next(read)
        except (RuntimeError, OSError, EOFError) as error:  # the latter two while a batch is being handed over
            row = self._row_of_the_dead()
            if row is None and "DataLoader worker" not in str(error):
                raise
            reading = "" if row is None else f" while it read {name_of_item(self._items, row)}"
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise DataError(
                f"a process that reads your Dataset died{reading} ({reason}); with `runtime.workers: 0` it is read in "
                "the main process, which shows why; fewer workers need less memory"
            ) from None

    def _row_of_the_dead(self) -> int | None:
        """Return the row that a worker was at when it died; None when all live."""
        deadline = perf_counter() + _DYING_SECONDS
        while perf_counter() < deadline:
            alive = {child.pid for child in multiprocessing.active_children()}
            for process, row in self._at.tolist():
                if process and process not in alive:
                    return int(row)
            sleep(0.01)
        return None


class _Requests(Dataset[Any]):
    """A whole batch as DataLoader's item; an item that can't be read is an answer, not a traceback from elsewhere."""

    def __init__(self, reader: ItemReader) -> None:
        self._reader = reader

    def __getitem__(self, request: Request) -> Tensor | DataError:
        try:
            return self._reader.read(torch.tensor(request[0], dtype=torch.int64), request[1])
        except DataError as error:
            return DataError(str(error))


def _as_it_is(made: Any) -> Any:
    return made


@contextmanager
def _deaths_told_by_next() -> Iterator[None]:
    """Take away DataLoader's handler of SIGCHLD, which raises wherever the main thread happens to be: in a step, say.

    Without it a death is found when the next batch is asked for, within 5 seconds."""
    if not hasattr(signal, "SIGCHLD") or current_thread() is not main_thread():
        yield
        return
    raising = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, raising)


def _begin_worker(number: int) -> None:
    # Ctrl-C reaches every process of the terminal: the main one finishes its step, saves, and ends the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
