"""Batches on the device, each a pure function of (split, epoch, number): nothing to restore when a run resumes."""

import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from netwright.data.augment.resolution import resized, side_of
from netwright.data.custom import apply_custom, custom_input
from netwright.data.cutting import Cutter
from netwright.data.loading import ItemReader
from netwright.data.order import balanced, shuffled
from netwright.data.prepare import PreparedData
from netwright.errors import DataError, listed

if TYPE_CHECKING:
    from netwright.data.augment import Augment
    from netwright.data.augment.mixing import Mixer


AT_ONCE_BYTES = 2 * 2**20  # of float32 images; more than a core's cache holds would be read from memory twice
AT_ONCE_BYTES_ON_GPU = 32 * 2**20  # there it is launches that cost


class Batch(NamedTuple):
    """`images` (B, C, H, W) float32 and `targets` on the device: (B,) int64, (B, K) float32 where images are mixed,
    (B,) float32 numbers, or masks (B, H, W) uint8; `rows` (B,) int64 on the CPU."""

    images: Tensor
    targets: Tensor
    rows: Tensor


class Visits(NamedTuple):
    """The same visits (B,) int64, see `order`: `here` on the CPU, `there` on the device of the batches."""

    here: Tensor
    there: Tensor


class Reader(Protocol):
    """Where pixels come from that take work: visits (B,), see `order`, and an epoch -> (B, H, W, C) on the CPU."""

    def read(self, visits: Tensor, epoch: int) -> Tensor:
        """Read one batch now."""

    def ahead(self, batches: Iterable[Tensor], epoch: int) -> Generator[Tensor, None, None]:
        """Yield batch after batch, the next prepared while one is used; closing it leaves no thread or process."""


class Batches:
    """The batches of one split.

    The order of an epoch is drawn for (seed, epoch) with `shuffle` (see `order`; `balanced`: every class equally
    often), else that of the rows. What
    the user's own data set or transform draws is seeded by (seed, epoch, row) with `shuffle` (training), and by epoch 0
    without (evaluation). The last batch of an epoch may be smaller, or one larger; no sample is dropped. `resolutions`
    are short sides in pixels by epoch, see `augment.resolution`; `mixer` mixes the finished images of a batch.
    """

    def __init__(
        self,
        prepared: PreparedData,
        split: str,
        *,
        batch_size: int,
        device: torch.device,
        seed: int = 0,
        augment: "Augment | None" = None,
        shuffle: bool = False,
        resolutions: tuple[int, ...] = (),
        balanced: bool = False,
        mixer: "Mixer | None" = None,
    ) -> None:
        if split not in prepared.rows:
            raise DataError(f"the data have no {split} split; there is {listed(prepared.rows)}")
        self.prepared, self.split, self.batch_size, self.device = prepared, split, batch_size, device
        self.seed, self.augment, self.shuffle, self.resolutions = seed, augment, shuffle, resolutions
        self.balanced, self.mixer = balanced, mixer
        self._rows = torch.from_numpy(prepared.rows[split])
        self._store = prepared.store.on(device)
        # of the epoch asked for last: a memory, not a state. One transfer an epoch, since each makes a GPU wait
        self._order = (-1, Visits(self._rows, self._rows.to(device)))
        self._num_rows = len(prepared.labelled.targets)
        # Small batches are made some at a time, since a call of torch costs as much as the work on a few images: a
        # batch of 64 of 28 × 28 takes 138 µs alone, 80 as one of ten. What a user's own code draws it draws one by one.
        self._reader = self._build_reader()
        own = self._reader is not None or prepared.custom is not None
        batch_bytes = 4 * batch_size * math.prod(self.input_shape)
        most_bytes = AT_ONCE_BYTES if device.type == "cpu" else AT_ONCE_BYTES_ON_GPU
        self._at_once = 1 if own else max(1, most_bytes // batch_bytes)

    @property
    def num_samples(self) -> int:
        return len(self._rows)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape (C, h, w) of the images, the largest where they grow."""
        channels, *size = self.prepared.input_shape
        height, width = size if self.augment is None or self.augment.window is None else self.augment.output_size
        return (channels, height, width)

    @property
    def num_batches(self) -> int:
        whole, rest = divmod(self.num_samples, self.batch_size)
        # in training a lone last sample joins the batch before it: batch norm has no variance of one sample
        return whole + (rest > (1 if self.shuffle and whole else 0))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on."""
        if self._reader is None:
            yield from self._gathered(epoch, start)
            return
        # a gather of bytes costs less than handing it to a thread; reading and resizing pictures is worth one
        visits = [self._visits_between(epoch, number, number + 1) for number in range(start, self.num_batches)]
        with closing(self._reader.ahead([part.here for part in visits], epoch)) as read:
            for part, made in zip(visits, read, strict=True):
                images = made if self._finished_ahead else self._images(part, epoch, made)
                images = resized(images, side_of(self.resolutions, epoch))
                yield self._batch(images, self._targets_of(part, epoch), part.here, epoch)

    def _gathered(self, epoch: int, start: int) -> Iterator[Batch]:
        self._expect(epoch, start, start + self._at_once)
        for first in range(start, self.num_batches, self._at_once):
            end = min(first + self._at_once, self.num_batches)
            batches = self._make(epoch, first, end)
            self._expect(epoch, end, end + self._at_once)
            yield from batches

    def _expect(self, epoch: int, first: int, end: int) -> None:
        self._store.expect(self._visits_between(epoch, first, end).here % self._num_rows)

    def batch(self, epoch: int, number: int) -> Batch:
        """Return batch `number` (from 0) of an epoch; the same arguments give the same batch always."""
        if not 0 <= number < self.num_batches:
            raise IndexError(f"batch {number} of {self.num_batches}")
        return self._make(epoch, number, number + 1)[0]

    def _make(self, epoch: int, first: int, end: int) -> list[Batch]:
        """Make batches `first` ... `end` - 1 with one gather, one transfer and one call of every transform."""
        visits = self._visits_between(epoch, first, end)
        images, targets = self._read(visits, epoch), self._targets_of(visits, epoch)
        if end - first == 1:
            return [self._batch(images, targets, visits.here, epoch)]
        sizes = [self.batch_size] * (end - first - 1)
        sizes.append(len(visits.here) - sum(sizes))
        of_images, of_targets, of_visits = (torch.split(whole, sizes) for whole in (images, targets, visits.here))
        return [self._batch(*part, epoch) for part in zip(of_images, of_targets, of_visits, strict=True)]

    def _read(self, visits: Visits, epoch: int) -> Tensor:
        """Return the images of visits (B,) in an epoch, on the device."""
        if self._reader is None:
            pixels = self._store.gather(self._in_store(visits))
        else:
            pixels = self._reader.read(visits.here, epoch)
        return resized(self._images(visits, epoch, pixels), side_of(self.resolutions, epoch))

    def _batch(self, images: Tensor, targets: Tensor, visits: Tensor, epoch: int) -> Batch:
        """Put finished images (B, C, h, w) and targets together, mixed where the recipe says so."""
        if self.mixer is not None:
            images, targets = self.mixer(images, targets, epoch, visits)
        return Batch(images, targets, visits % self._num_rows)

    def _visits_between(self, epoch: int, first: int, end: int) -> Visits:
        """Return the visits (see `order`) of batches `first` ... `end` - 1; none of those that are not."""
        stop = self.num_samples if end >= self.num_batches else end * self.batch_size
        here, there = self._visits_of(epoch)
        part = slice(first * self.batch_size, stop)
        return Visits(here[part], there[part])

    def _visits_of(self, epoch: int) -> Visits:
        if self.shuffle and self._order[0] != epoch:
            if self.balanced:
                order = balanced(self._rows, self.prepared.labelled.targets, self.seed, epoch)
            else:
                order = shuffled(self._rows, self.seed, epoch)
            self._order = (epoch, Visits(order, order.to(self.device)))
        return self._order[1]

    def _in_store(self, visits: Visits) -> Tensor:
        """Return the rows (B,) of visits where the store's pixels and targets are."""
        return (visits.here if self._store.pixels.device.type == "cpu" else visits.there) % self._num_rows

    def _targets_of(self, visits: Visits, epoch: int) -> Tensor:
        if self._store.masks is None:
            chosen = self._store.targets.index_select(0, self._in_store(visits))
            return chosen.to(self.device, non_blocking=True)
        return self._masks(visits, epoch)

    def _masks(self, visits: Visits, epoch: int) -> Tensor:
        """Return the masks (B, h, w) uint8 of visits, moved as their images are in this epoch."""
        masks = self._store.gather_masks(self._in_store(visits)).to(self.device)
        if self.augment is not None:
            return self.augment.on_masks(masks, epoch, visits.there)
        return self.prepared.transform.crop(masks.unsqueeze(3)).squeeze(3)

    def _images(self, visits: Visits, epoch: int, pixels: Tensor, out: Tensor | None = None) -> Tensor:
        """Return (B, C, h, w) float32 on the device, from pixels (B, H, W, C) of the store or a reader.

        `out` is memory (B, h, w, C) on the device for it; the user's own transform takes none."""
        transform, custom = self.prepared.transform, self.prepared.custom
        pixels = pixels.to(self.device, non_blocking=True)
        unit = False
        if self.augment is not None:
            if pixels.dtype != torch.uint8:  # in [0, 1] black is 0, which random crops and rotations fill in
                pixels, unit = transform.unit(pixels), True
            augment = self.augment.after_crop if transform.whole else self.augment
            pixels = augment(pixels, epoch, visits.there)
        if custom is not None:
            cut = custom_input(transform, pixels, in_unit_range=unit)
            drawn = epoch if self.shuffle else 0
            here = visits.here
            return apply_custom(custom, cut, self.seed, drawn, here % self._num_rows, here).to(self.device)
        return transform.finish(pixels, in_unit_range=unit, out=out)

    @property
    def _finished_ahead(self) -> bool:
        """Say whether threads make images and not only pixels: not for another device, nor what draws by seeding."""
        on_cpu = self.device.type == "cpu" and self.prepared.custom is None
        return self._store.pictures is not None and on_cpu

    def _finish(self, pixels: Tensor, visits: Tensor, epoch: int, out: Tensor) -> None:
        self._images(Visits(visits, visits), epoch, pixels, out)

    def _build_reader(self) -> Reader | None:
        """Return what makes the pixels where they are not merely gathered from the store."""
        store, transform = self._store, self.prepared.transform
        if store.pictures is not None:
            finish = self._finish if self._finished_ahead else None
            pinned = self.device.type == "cuda"
            return Cutter(store.pictures, transform, self.augment, finish=finish, pinned=pinned)
        if store.items is None:
            return None
        workers = self.prepared.workers
        return ItemReader(
            store.items,
            transform,
            self.augment,
            seed=self.seed,
            redrawn=self.shuffle,
            workers=workers,
            timeout_seconds=self.prepared.worker_timeout_seconds,
        )
