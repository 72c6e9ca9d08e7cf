"""Batches of boxes cut from whole pictures, the next batch's in threads while the present one is used."""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from netwright.data.boxes import Box, cut_into
from netwright.data.labelled import Array
from netwright.data.pictures import Pictures
from netwright.data.transform import EvalTransform
from netwright.runtime.threads import thread_pool

if TYPE_CHECKING:
    from netwright.data.augment import Augment

_MOST_TOGETHER = 8  # pictures a task: their 5 MB as floats stay in a core's cache
Finish = Callable[[Tensor, Tensor, int, Tensor], None]


def choose_boxes(
    pictures: Sequence[Array], visits: Tensor, epoch: int, transform: EvalTransform, augment: "Augment | None"
) -> list[Box]:
    """Return the box of each picture: drawn for (epoch, visit) in training, the central one in evaluation."""
    if augment is None or augment.box is None:
        return [transform.central_box((picture.shape[0], picture.shape[1])) for picture in pictures]
    sizes = torch.from_numpy(np.array([picture.shape[:2] for picture in pictures], np.int64))
    boxes: list[Box] = [
        (top, left, down, across) for top, left, down, across in augment.boxes(sizes, epoch, visits).tolist()
    ]
    return boxes


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
        self._cut(made, visits, epoch)
        return made

    def ahead(self, batches: Iterable[Tensor], epoch: int) -> Generator[Tensor, None, None]:
        """Yield the result of each batch of visits; the next is made meanwhile. Closing it leaves no thread."""
        with thread_pool(torch.get_num_threads()) as pool:
            waiting: tuple[Tensor, list[Future[None]]] | None = None
            for visits in batches:
                begun = self._begin(pool, visits, epoch)
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

    def _cut(self, made: Tensor, visits: Tensor, epoch: int) -> None:
        pictures = [self._pictures[visit % len(self._pictures)] for visit in visits.tolist()]
        cut_into(made, pictures, choose_boxes(pictures, visits, epoch, self._transform, self._augment))

    def _begin(self, pool: ThreadPoolExecutor, visits: Tensor, epoch: int) -> tuple[Tensor, list[Future[None]]]:
        made = self._empty(len(visits), self._dtype if self._finish is None else torch.float32)
        together = max(2, min(_MOST_TOGETHER, -(-len(visits) // torch.get_num_threads())))
        parts = zip(torch.split(made, together), torch.split(visits, together), strict=True)
        return made, [pool.submit(self._make, part, some, epoch) for part, some in parts]

    def _make(self, made: Tensor, visits: Tensor, epoch: int) -> None:
        with torch.inference_mode(made.is_inference()):  # a thread's own mode is not that of who asked for the batch
            if self._finish is None:
                self._cut(made, visits, epoch)
            else:
                self._finish(self.read(visits, epoch), visits, epoch, made)

    def _wait(self, made: Tensor, parts: list[Future[None]]) -> Tensor:
        for part in parts:
            part.result()
        return made if self._finish is None else made.permute(0, 3, 1, 2)
