"""Batches of boxes cut from whole pictures, the next batch's in threads while the present one is used."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from netwright.data.boxes import Box, cut_into
from netwright.data.labelled import Array, Rows
from netwright.data.pictures import Pictures
from netwright.data.transform import EvalTransform
from netwright.runtime.threads import thread_pool

if TYPE_CHECKING:
    from netwright.data.augment import Augment

_MOST_TOGETHER = 8  # pictures a task: their 5 MB as floats stay in a core's cache
_BATCHES_DRAWN = 16  # for boxes of 8 pictures a thread holds the interpreter for 0.7 ms, for those of 500 for 1
Finish = Callable[[Tensor, Tensor, int, Tensor], None]


def choose_boxes(
    sizes: Rows, visits: Tensor, epoch: int, transform: EvalTransform, augment: "Augment | None"
) -> list[Box]:
    """Return the box of each picture of sizes (B, 2): drawn for (epoch, visit) in training, the central one else."""
    if augment is None or augment.box is None:
        return [transform.central_box((height, width)) for height, width in sizes.tolist()]
    drawn = augment.boxes(torch.from_numpy(sizes), epoch, visits)
    return [(top, left, down, across) for top, left, down, across in drawn.tolist()]


class Cutter:
    """Cuts the boxes of a split's batches out of whole pictures: visits (B,), see `order`, and an epoch -> pixels
    (B, h, w, C).

    With `finish`, `ahead` gives images (B, C, h, w) float32: it is called in the threads with some pixels, their
    visits, the epoch and the memory (b, h, w, C) that the result is written to. Each picture's result depends on
    nothing but (epoch, visit), so it is the same for any number of threads, and in a batch that is made alone."""

    def __init__(
        self,
        pictures: Pictures,
        transform: EvalTransform,
        augment: "Augment | None",
        *,
        finish: Finish | None = None,
        pinned: bool = False,
    ) -> None:
        self._pictures, self._transform, self._augment = pictures, transform, augment
        self._finish, self._pinned = finish, pinned

    def read(self, visits: Tensor, epoch: int) -> Tensor:
        """Cut one batch in this thread; nothing is finished."""
        made = self._empty(len(visits), self._dtype)
        cut_into(made, self._pictures_of(visits), self._boxes(visits, epoch))
        return made

    def ahead(self, batches: Iterable[Tensor], epoch: int) -> Generator[Tensor, None, None]:
        """Yield the result of each batch of visits; the next is made meanwhile. Closing it leaves no thread."""
        with thread_pool(torch.get_num_threads()) as pool:
            waiting: tuple[Tensor, list[Future[None]]] | None = None
            for visits, boxes in self._with_boxes(batches, epoch):
                begun = self._begin(pool, visits, boxes, epoch)
                if waiting is not None:
                    yield self._wait(*waiting)
                waiting = begun
            if waiting is not None:
                yield self._wait(*waiting)

    @property
    def _dtype(self) -> torch.dtype:
        return torch.uint8 if self._pictures.values.dtype == np.uint8 else torch.float32

    def _empty(self, num_images: int, dtype: torch.dtype) -> Tensor:
        shape = (num_images, *self._transform.image_size, self._transform.channels)
        return torch.empty(shape, dtype=dtype, pin_memory=self._pinned)

    def _pictures_of(self, visits: Tensor) -> list[Array]:
        return [self._pictures[visit % len(self._pictures)] for visit in visits.tolist()]

    def _boxes(self, visits: Tensor, epoch: int) -> list[Box]:
        sizes = self._pictures.sizes[visits.numpy() % len(self._pictures)]
        return choose_boxes(sizes, visits, epoch, self._transform, self._augment)

    def _with_boxes(self, batches: Iterable[Tensor], epoch: int) -> Iterator[tuple[Tensor, list[Box]]]:
        """Yield visits and boxes of each batch; those of several are drawn at once, in the time that one's take."""
        rest = iter(batches)
        while several := list(islice(rest, _BATCHES_DRAWN)):
            boxes = iter(self._boxes(torch.cat(several), epoch))
            yield from ((visits, list(islice(boxes, len(visits)))) for visits in several)

    def _begin(
        self, pool: ThreadPoolExecutor, visits: Tensor, boxes: list[Box], epoch: int
    ) -> tuple[Tensor, list[Future[None]]]:
        made = self._empty(len(visits), self._dtype if self._finish is None else torch.float32)
        together = max(2, min(_MOST_TOGETHER, -(-len(visits) // torch.get_num_threads())))
        parts = [slice(start, start + together) for start in range(0, len(visits), together)]
        return made, [pool.submit(self._make, made[part], visits[part], boxes[part], epoch) for part in parts]

    def _make(self, made: Tensor, visits: Tensor, boxes: list[Box], epoch: int) -> None:
        with torch.inference_mode(made.is_inference()):  # a thread's own mode is not that of who asked for the batch
            if self._finish is None:
                cut_into(made, self._pictures_of(visits), boxes)
                return
            pixels = self._empty(len(visits), self._dtype)
            cut_into(pixels, self._pictures_of(visits), boxes)
            self._finish(pixels, visits, epoch, made)

    def _wait(self, made: Tensor, parts: list[Future[None]]) -> Tensor:
        for part in parts:
            part.result()
        return made if self._finish is None else made.permute(0, 3, 1, 2)
