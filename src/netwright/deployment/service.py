"""A bundle that answers many at once: admission, decoding, batches, deadlines. No HTTP here.

What differs by what is given and by the task is a class each: `service_images`, `service_masks`, `service_rows`.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

from netwright.config.serving import Serving
from netwright.data.labelled import Array
from netwright.deployment.batcher import Batcher, TooLate
from netwright.deployment.decoders import Decoders
from netwright.deployment.predictor import Predictor
from netwright.deployment.received import Read
from netwright.errors import DataError

Given = tuple[str, bytes]  # a name for the answer, and what came
Draw = Callable[[Array, Array], Mapping[str, Any]]  # a picture (H, W, C) and its mask (H, W) -> what is sent of them


class Overloaded(Exception):
    """More images are waiting than may; `retry_seconds` is when to try again."""

    def __init__(self, waiting: int, retry_seconds: int) -> None:
        super().__init__(f"{waiting} images are waiting already; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class Service(ABC):
    """One predictor behind a bounded queue. Its coroutines belong to one event loop; `close` it at the end.

    `takes` is what it is given. `has_engines`: others than torch can compute it; `engine` says which one does."""

    takes: ClassVar[Literal["images", "rows"]]
    has_engines: ClassVar[bool] = False

    def __init__(
        self, predictor: Predictor, limits: Serving, told_batch: Callable[[int], None] = lambda size: None
    ) -> None:
        self.predictor, self.limits = predictor, limits
        self.engine: Mapping[str, Any] = {"name": "torch"}
        self.waiting = 0
        self._decoders = Decoders(
            predictor.transform,
            processes=limits.decoders,
            seconds=limits.decode_seconds,
            most_pixels=self.most_read,
            read=self.read,
        )
        self._batcher = Batcher(
            self._run,
            most_batch=limits.most_batch,
            wait_seconds=limits.wait_seconds,
            threads=predictor.machine.threads,
            told=told_batch,
        )

    def overload(self, number: int = 1) -> Overloaded | None:
        """Return why so many more images are not taken now; None when they are."""
        if self.waiting + number > self.limits.most_waiting and self.waiting:
            return Overloaded(self.waiting, 1)
        return None

    @contextmanager
    def admitted(self, number: int = 1) -> Iterator[None]:
        """Hold the places of some images. Raises Overloaded at once when there are not so many."""
        if (overload := self.overload(number)) is not None:
            raise overload
        self.waiting += number
        try:
            yield
        finally:
            self.waiting -= number

    @property
    @abstractmethod
    def read(self) -> Read:
        """What a decoding process makes of what is given: a function of a module."""

    @property
    def most_read(self) -> int:
        """How many pixels one picture may have; of a table, how many rows."""
        return self.limits.most_pixels

    @abstractmethod
    async def predict(self, given: Sequence[Given], draw: Draw | None = None) -> dict[str, Any]:
        """Answer what was given with the contract's predict JSON; what can't be read has an error in its place.

        `draw` is what is sent of masks beside each class's share. Raises TooLate when the network's turn came too
        late, DataError for a table that can't be read."""

    @abstractmethod
    def _run(self, items: Sequence[Array]) -> Sequence[Any]:
        """Compute what was read, in the network's thread: one answer each."""

    async def _computed(self, items: Sequence[Array], deadline: float) -> list[Any]:
        """Return what `_run` gives for items of one size: here and now for who is alone, else in a batch."""
        found = self._batcher.at_once(items) if self.waiting == 1 else None
        return await asyncio.wrap_future(self._batcher.submit(items, deadline)) if found is None else found

    async def with_pixels(self, content: bytes, work: Callable[[Array], Any]) -> Any:
        """Return what `work` gives for a decoded picture (H, W, C), run in the network's thread.

        Raises DataError for what is no picture, TooLate, and what `work` raises."""
        deadline = self._deadline()
        made = await self._decode(content, deadline)
        if isinstance(made, str):
            raise DataError(made)
        return await asyncio.wrap_future(self._batcher.call(lambda: work(made), deadline))

    def close(self) -> None:
        """Answer what waits, then end the network's thread and the processes."""
        self._batcher.close()
        self._decoders.close()

    async def _decode(self, content: bytes, deadline: float) -> Array | str:
        try:
            return await self._decoders.decode(content, deadline, alone=self.waiting == 1)
        except TimeoutError:
            raise TooLate from None
        except DataError as error:
            return str(error)

    def _deadline(self) -> float:
        return time.monotonic() + self.limits.deadline_seconds

    def _json(self, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {"predictions": list(answers), "calibrated": self.predictor.bundle.temperature is not None}
