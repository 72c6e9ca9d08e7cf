"""Pictures of any size: a class for each pixel.

What is queued for the network is a tile, so that a large picture lets others pass between two of its own, and tiles of
one shape share a batch. Memory does not grow with who waits: while as many pixels are held as one picture may have, no
other one is decoded.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from netwright.config.serving import Serving
from netwright.data.labelled import Array
from netwright.deployment.batcher import TooLate
from netwright.deployment.mask_predictor import MaskPredictor, of_size
from netwright.deployment.prediction import MaskPrediction
from netwright.deployment.predictor import Predictor
from netwright.deployment.received import Read, as_picture
from netwright.deployment.service import Draw, Given, Service
from netwright.errors import DataError

MOST_PIXELS_AT_ONCE = 768 * 768  # in one pass: a tile of 512 with margins of 128; of 128 × 128 pixels 36 images


class MaskService(Service):
    """Tiles of all requests share batches."""

    takes = "images"

    def __init__(
        self, predictor: Predictor, limits: Serving, told_batch: Callable[[int], None] = lambda size: None
    ) -> None:
        """Raise InputError for a bundle that sees images by a transform of the user's own."""
        self._masks = MaskPredictor(predictor)
        self._masks.margin  # noqa: B018 (found here, and not while the first large picture waits)
        self._held = _Held(limits.most_pixels, limits.decoders)
        super().__init__(predictor, limits, told_batch)

    @property
    def read(self) -> Read:
        return as_picture

    async def predict(self, given: Sequence[Given], draw: Draw | None = None) -> dict[str, Any]:
        deadline = self._deadline()
        answers = [asyncio.ensure_future(self._answer(*each, deadline, draw)) for each in given]
        try:
            return self._json(await asyncio.gather(*answers))
        finally:
            for answer in answers:  # one was too late, or nobody waits any more: neither do the others go on
                answer.cancel()

    async def _answer(self, name: str, content: bytes, deadline: float, draw: Draw | None) -> Mapping[str, Any]:
        classes = self.predictor.bundle.task.class_names
        async with self._held.decoded(lambda: self._decode(content, deadline), deadline) as pixels:
            if isinstance(pixels, str):
                return MaskPrediction(name, classes, error=pixels).to_mapping()
            try:
                mask = await self._mask(pixels, deadline)
            except DataError as error:
                return MaskPrediction(name, classes, error=str(error)).to_mapping()
            return await asyncio.to_thread(_answered, MaskPrediction(name, classes, mask), pixels, draw)

    async def _mask(self, pixels: Array, deadline: float) -> Array:
        """Return the mask (H, W) uint8 of a picture; the deadline is that of its first tile."""
        seen = await asyncio.to_thread(self._masks.seen, pixels)
        made = np.empty(seen.shape[:2], np.uint8)
        for tile in self._masks.tiles(seen):
            (classes,) = await asyncio.wrap_future(self._batcher.submit([tile.window_of(seen)], deadline))
            tile.put(classes, made)
            deadline = math.inf
        return of_size(made, (pixels.shape[0], pixels.shape[1]))

    def _run(self, items: Sequence[Array]) -> Sequence[Any]:
        answers: list[Array | None] = [None] * len(items)
        for places in _alike(items):
            found = self._masks.classes(np.stack([items[place] for place in places]))
            for place, classes in zip(places, found, strict=True):
                answers[place] = classes
        return answers


def _answered(answer: MaskPrediction, pixels: Array, draw: Draw | None) -> Mapping[str, Any]:
    assert answer.mask is not None
    return answer.to_mapping() | dict(draw(pixels, answer.mask) if draw is not None else {})


def _alike(items: Sequence[Array]) -> Iterator[list[int]]:
    """Yield the places of windows (h, w, C) that are computed at once: of one shape, and not too many pixels."""
    of_shape: dict[tuple[int, ...], list[int]] = {}
    for place, item in enumerate(items):
        of_shape.setdefault(item.shape, []).append(place)
    for (height, width, *_), places in of_shape.items():
        most = max(1, MOST_PIXELS_AT_ONCE // (height * width))
        for start in range(0, len(places), most):
            yield places[start : start + most]


class _Held:
    """Decoded pixels in memory: as long as they are `most` or more, nothing else is decoded."""

    def __init__(self, most: int, decoders: int) -> None:
        self._most, self._pixels = most, 0
        self._decoding = asyncio.Semaphore(decoders)  # or all who wait would have been let in before the first is read
        self._room = asyncio.Event()
        self._room.set()

    @asynccontextmanager
    async def decoded(self, decode: Callable[[], Any], deadline: float) -> AsyncIterator[Array | str]:
        """Decode when there is room and count the pixels until the end. Raises TooLate where there is none in time."""
        pixels = await self._let_in(decode, deadline)
        number = 0 if isinstance(pixels, str) else pixels.shape[0] * pixels.shape[1]
        self._add(number)
        try:
            yield pixels
        finally:
            self._add(-number)

    async def _let_in(self, decode: Callable[[], Any], deadline: float) -> Array | str:
        try:
            async with asyncio.timeout_at(deadline):
                await self._decoding.acquire()
        except TimeoutError:
            raise TooLate from None
        try:
            await self._wait_for_room(deadline)
            found: Array | str = await decode()
            return found
        finally:
            self._decoding.release()

    async def _wait_for_room(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                while self._pixels >= self._most:
                    await self._room.wait()
        except TimeoutError:
            raise TooLate from None

    def _add(self, number: int) -> None:
        self._pixels += number
        if self._pixels < self._most:
            self._room.set()
        else:
            self._room.clear()
