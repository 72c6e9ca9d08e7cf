"""Requests that arrive together, computed together: one thread runs the network on whoever is waiting.

While a batch is computed the next ones gather, so that a lone request waits for nobody and many share one pass. A lone
request of a small network is computed by the thread that brings it: to wake another and be woken takes longer.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

from netwright.data.labelled import Array

QUICK_SECONDS = 0.002  # as long the event loop may stand still: it does while it reads some ten requests


class TooLate(Exception):
    """An image's deadline passed before its turn came."""

    def __init__(self) -> None:
        super().__init__("the deadline passed before the image had its turn; try again later")


@dataclass
class _Request:
    """Some images of one request, or any other work of the network's thread."""

    images: Sequence[Array]
    deadline: float
    work: Callable[[], Any] | None = None
    answer: "Future[Any]" = field(default_factory=Future)


class Batcher:
    """The thread that computes: `run` takes images (H, W, C), all of one size, and gives one answer each."""

    def __init__(
        self,
        run: Callable[[Sequence[Array]], Sequence[Any]],
        *,
        most_batch: int,
        wait_seconds: float = 0.0,
        threads: int = 1,
        told: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._run, self._most, self._wait, self._told = run, most_batch, wait_seconds, told
        self._requests: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._computing = threading.Lock()
        self._said = threading.local()
        self._seconds_alone = float("inf")  # what the last pass over a lone image took
        self._thread = threading.Thread(target=self._work, args=(threads,), name="network", daemon=True)
        self._thread.start()

    def at_once(self, images: Sequence[Array]) -> list[Any] | None:
        """Return the answers of one image, computed here and now; None when others compute or wait, or it takes long.

        Raises what `run` does."""
        quick = len(images) == 1 and self._seconds_alone < QUICK_SECONDS and not self._requests
        if not quick or not self._computing.acquire(blocking=False):
            return None
        try:
            self._with_one_thread()
            return self._timed(images)
        finally:
            self._computing.release()

    def _with_one_thread(self) -> None:
        """Have torch compute by one thread in who calls, for good: a second one turns in wait of more for a millisecond
        after each pass, on the core that decodes or sends the next image. Said once, for it empties oneDNN's caches."""
        if not getattr(self._said, "one", False):
            torch.set_num_threads(1)
            self._said.one = True

    def submit(self, images: Sequence[Array], deadline: float) -> "Future[list[Any]]":
        """Return the answers to come, one an image. `deadline` is by time.monotonic(); past it TooLate is raised."""
        return self._add(_Request(images, deadline))

    def call(self, work: Callable[[], Any], deadline: float) -> "Future[Any]":
        """Return what `work()` gives, run in the network's thread between two batches."""
        return self._add(_Request((), deadline, work))

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _add(self, request: _Request) -> "Future[Any]":
        with self._changed:
            self._requests.append(request)
            self._changed.notify()
        return request.answer

    def _work(self, threads: int) -> None:
        torch.set_num_threads(threads)  # each thread has its own number
        while batch := self._next():
            live = [request for request in batch if _still_wanted(request)]
            if live:
                self._settle(live)

    def _settle(self, requests: list[_Request]) -> None:
        try:
            answers = self._answers(requests)
        except BaseException as error:
            for request in requests:
                request.answer.set_exception(error)
        else:
            for request, answer in zip(requests, answers, strict=True):
                request.answer.set_result(answer)

    def _answers(self, requests: list[_Request]) -> list[Any]:
        if requests[0].work is not None:  # it is alone, see `_fits`
            return [requests[0].work()]
        with self._computing:
            remaining = iter(self._timed([image for request in requests for image in request.images]))
        return [[next(remaining) for _ in request.images] for request in requests]

    def _timed(self, images: Sequence[Array]) -> list[Any]:
        self._told(len(images))
        start = time.perf_counter()
        answers = list(self._run(images))
        if len(images) == 1:
            self._seconds_alone = time.perf_counter() - start
        return answers

    def _next(self) -> list[_Request]:
        """Return the next requests to run as one; none at the end. A request of many images is never cut."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests or self._closed)
            if self._wait and self._requests and not self._closed:
                self._changed.wait_for(lambda: self._num_waiting() >= self._most or self._closed, self._wait)
            taken: list[_Request] = []
            while self._requests and (not taken or _fits(taken, self._requests[0], self._most)):
                taken.append(self._requests.popleft())
            return taken

    def _num_waiting(self) -> int:
        return sum(len(request.images) for request in self._requests)


def _fits(taken: list[_Request], request: _Request, most: int) -> bool:
    alone = request.work is not None or taken[0].work is not None
    return not alone and sum(len(each.images) for each in taken) + len(request.images) <= most


def _still_wanted(request: _Request) -> bool:
    """Say whether a request is to be run; one that is too late, or that nobody waits for any more, is not."""
    if not request.answer.set_running_or_notify_cancel():
        return False
    if time.monotonic() > request.deadline:
        request.answer.set_exception(TooLate())
        return False
    return True
