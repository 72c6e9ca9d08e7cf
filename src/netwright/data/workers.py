"""Batches read ahead by torch's DataLoader in processes; one that dies or hangs is named, after a second try.

**How they start.** As the system's Python does it: forked on Linux up to Python 3.13. Forkserver and spawn would import
the user's script again in every worker, which begins the training anew where it has no `__main__` guard, would not take
what can't be pickled, and would copy a data set that lies in memory into each of them. What speaks against a fork is a
lock that another thread holds at that moment and that nobody frees in the child: the worker then hangs, which is found
out, and the second try forks at another moment. Python 3.12's warning of that has been weighed, so it is not shown."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import current_thread, main_thread
from time import monotonic, sleep
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from netwright.errors import DataError

TRIES = 2
_LOOK_SECONDS = 1.0  # how often it is looked whether the workers live and get on
_DYING_SECONDS = 1.0  # its pipe closes a moment before the system calls a process dead
Request = tuple[list[int], int]  # visits of a batch, epoch
Answer = Callable[[Request], Tensor | DataError]


class Places:
    """What each worker is at, in memory shared with the main process: its process, row (-1: none), since when."""

    def __init__(self, workers: int) -> None:
        self.num_workers = workers
        self._at = torch.zeros((max(1, workers), 3), dtype=torch.float64)
        if workers:
            self._at.share_memory_()  # type: ignore[no-untyped-call]

    def begin(self, row: int) -> None:
        """Note, in a worker, that it begins to read a row."""
        info = get_worker_info()
        if info is not None:
            self._at[info.id] = torch.tensor([os.getpid(), row, monotonic()], dtype=torch.float64)

    def end(self) -> None:
        """Note that it has read its batch."""
        self.begin(-1)

    def forget(self) -> None:
        """Forget workers that are gone."""
        self._at.zero_()

    def dead(self) -> int | None:
        """Return the row that a worker was at when it died, -1 for none; None when all live."""
        alive = {child.pid for child in multiprocessing.active_children()}
        return next((int(row) for process, row, _ in self._at.tolist() if process and int(process) not in alive), None)

    def busy(self) -> bool:
        """Say whether any worker is at a row."""
        return any(process and row >= 0 for process, row, _ in self._at.tolist())

    def hung(self, seconds: float) -> tuple[int, int] | None:
        """Return (process, row) of a worker that has been at one row for so long."""
        now = monotonic()
        stuck = [(int(p), int(row)) for p, row, since in self._at.tolist() if p and row >= 0 and now - since > seconds]
        return stuck[0] if stuck else None


@dataclass
class Trouble:
    """What has gone wrong with workers so far: `name` gives the name of a row, `seconds` is how long one may take."""

    name: Callable[[int], str]
    seconds: float
    at_batch: int = -1
    times: int = 0

    def another_try(self, batch: int, what: str) -> None:
        """Note what happened while a batch was waited for. Raises DataError when it is the second time."""
        self.times = self.times + 1 if batch == self.at_batch else 1
        self.at_batch = batch
        if self.times >= TRIES:
            raise DataError(
                f"a process that reads your Dataset {what}, twice; with `runtime.workers: 0` it is read in the main "
                "process, which shows why; fewer workers need less memory"
            )


def read_ahead(
    answer: Answer, requests: Sequence[Request], places: Places, trouble: Trouble
) -> Generator[Tensor, None, None]:
    """Yield the answer to each request in order; workers that die or hang are started once more from there.

    Raises DataError that an answer is, or that names the row at which workers died or hung twice. No process is left
    when this is closed."""
    done = 0
    while done < len(requests):
        places.forget()
        read = _started(_loader(answer, requests[done:], places))
        with _deaths_told_by_next():
            try:
                while done < len(requests):
                    made = _next(read, places, trouble)
                    if isinstance(made, str):
                        trouble.another_try(done, made)
                        break
                    done += 1
                    if isinstance(made, DataError):
                        raise made
                    yield made
            finally:
                del read  # ends the workers


def _loader(answer: Answer, requests: Sequence[Request], places: Places) -> DataLoader[Any]:
    # a generator of its own: DataLoader draws a seed, and the default one is dropout's
    return DataLoader(
        _Requests(answer),
        batch_size=None,
        sampler=list(requests),
        num_workers=places.num_workers,
        worker_init_fn=_begin_worker,
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(0),
        timeout=_LOOK_SECONDS,
    )


def _started(loader: DataLoader[Any]) -> Iterator[Any]:
    with warnings.catch_warnings():  # see the top
        warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
        return iter(loader)


def _next(read: Iterator[Any], places: Places, trouble: Trouble) -> Any:
    """Return the next answer, or in words what happened to a worker."""
    waited_since = monotonic()
    while True:
        try:
            return next(read)
        except (RuntimeError, OSError, EOFError) as error:  # the latter two while a batch is being handed over
            late = "DataLoader timed out" in str(error)
            row = places.dead() if late else _row_of_the_dead(places)
            if row is not None or "exited unexpectedly" in str(error):
                reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
                return f"died{_reading(row, trouble)} ({reason})"
            if not late:
                raise
        stuck = places.hung(trouble.seconds)
        if stuck is not None:
            with suppress(OSError):  # at once: to be asked to end, it would have to get on
                os.kill(stuck[0], signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
            return f"did not get on for {trouble.seconds:g} s{_reading(stuck[1], trouble)}"
        if monotonic() - waited_since > trouble.seconds and not places.busy():
            return f"gave nothing for {trouble.seconds:g} s"


def _reading(row: int | None, trouble: Trouble) -> str:
    return "" if row is None or row < 0 else f" while it read {trouble.name(row)}"


def _row_of_the_dead(places: Places) -> int | None:
    deadline = monotonic() + _DYING_SECONDS
    while True:
        row = places.dead()
        if row is not None or monotonic() > deadline:
            return row
        sleep(0.01)


class _Requests(Dataset[Any]):
    """A whole batch as DataLoader's item."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __getitem__(self, request: Request) -> Tensor | DataError:
        return self._answer(request)


def _as_it_is(made: Any) -> Any:
    return made


@contextmanager
def _deaths_told_by_next() -> Iterator[None]:
    """Take away DataLoader's handler of SIGCHLD, which raises wherever the main thread happens to be: in a step, say.

    Without it a death is found when the next batch is asked for, within a second."""
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
