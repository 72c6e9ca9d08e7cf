"""A bundle that answers many at once: admission, decoding, batches, deadlines. No HTTP here."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from netwright.config.serving import Serving
from netwright.data.labelled import Array
from netwright.deployment.batcher import Batcher, TooLate
from netwright.deployment.decoders import Decoders
from netwright.deployment.predictor import Predictor
from netwright.errors import DataError


class Overloaded(Exception):
    """More images are waiting than may; `retry_seconds` is when to try again."""

    def __init__(self, waiting: int, retry_seconds: int) -> None:
        super().__init__(f"{waiting} images are waiting already; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class Service:
    """One predictor behind a bounded queue. Its coroutines belong to one event loop; `close` it at the end."""

    def __init__(
        self, predictor: Predictor, limits: Serving, told_batch: Callable[[int], None] = lambda size: None
    ) -> None:
        self.predictor, self.limits = predictor, limits
        self.waiting = 0
        self._decoders = Decoders(
            predictor.transform,
            processes=limits.decoders,
            seconds=limits.decode_seconds,
            most_pixels=limits.most_pixels,
        )
        self._batcher = Batcher(
            self._rows,
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

    async def predict(self, images: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        """Answer named pictures with the contract's predict JSON; what can't be read has an error in its place.

        Raises TooLate when the network's turn came too late."""
        deadline = time.monotonic() + self.limits.deadline_seconds
        if len(images) == 1:  # a task of its own would cost it more than its way through us
            decoded = [await self._decode(images[0][1], deadline)]
        else:
            decoded = await asyncio.gather(*(self._decode(content, deadline) for _, content in images))
        pixels = [made for made in decoded if not isinstance(made, str)]
        found = await asyncio.wrap_future(self._batcher.submit(pixels, deadline)) if pixels else []
        rows = iter(found)
        answer = self.predictor.prediction
        answers = [
            answer(name, error=made) if isinstance(made, str) else answer(name, next(rows))
            for (name, _), made in zip(images, decoded, strict=True)
        ]
        return {
            "predictions": [answer.to_mapping() for answer in answers],
            "calibrated": self.predictor.bundle.temperature is not None,
        }

    async def with_pixels(self, content: bytes, work: Callable[[Array], Any]) -> Any:
        """Return what `work` gives for a decoded picture (H, W, C), run in the network's thread.

        Raises DataError for what is no picture, TooLate, and what `work` raises."""
        deadline = time.monotonic() + self.limits.deadline_seconds
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
            return await self._decoders.decode(content, deadline)
        except TimeoutError:
            raise TooLate from None
        except DataError as error:
            return str(error)

    def _rows(self, images: Sequence[Array]) -> Sequence[Array]:
        return list(self.predictor.rows(self.predictor.finish(torch.from_numpy(np.stack(images)))))
