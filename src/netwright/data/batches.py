"""Batches on the device, each a pure function of (split, epoch, number): nothing to restore when a run resumes."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from netwright.data.augment.resolution import resized, side_of
from netwright.data.custom import apply_custom, custom_input
from netwright.data.items import as_picture, read_item, ready_item
from netwright.data.prepare import PreparedData
from netwright.errors import DataError, listed
from netwright.runtime.randomness import generator

if TYPE_CHECKING:
    from netwright.data.augment import Augment


AT_ONCE_BYTES = 2 * 2**20  # of float32 images; more than a core's cache holds would be read from memory twice


class Batch(NamedTuple):
    """`images` (B, C, H, W) float32 and `targets` (B,) int64 on the device; `rows` (B,) int64 on the CPU."""

    images: Tensor
    targets: Tensor
    rows: Tensor


class Batches:
    """The batches of one split.

    The order of an epoch is `torch.randperm` under (seed, "order", epoch) with `shuffle`, else that of the rows. What
    the user's own data set or transform draws is seeded by (seed, epoch, row) with `shuffle` (training), and by epoch 0
    without (evaluation). The last batch of an epoch may be smaller, or one
    larger; no sample is dropped. `resolutions` are short sides in pixels by epoch, see `augment.resolution`.
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
    ) -> None:
        if split not in prepared.rows:
            raise DataError(f"the data have no {split} split; there is {listed(prepared.rows)}")
        self.prepared, self.split, self.batch_size, self.device = prepared, split, batch_size, device
        self.seed, self.augment, self.shuffle, self.resolutions = seed, augment, shuffle, resolutions
        self._rows = torch.from_numpy(prepared.rows[split])
        self._store = prepared.store.on(device)
        self._order: tuple[int, Tensor] = (-1, self._rows)  # of the epoch asked for last: a memory, not a state
        # Small batches are made some at a time, since a call of torch costs as much as the work on a few images: a
        # batch of 64 of 28 × 28 takes 66 µs alone, 37 as one of ten. What a user's own code draws it draws one by one.
        own = self._store.items is not None or prepared.custom is not None
        batch_bytes = 4 * batch_size * math.prod(prepared.input_shape)
        self._at_once = 1 if own else max(1, AT_ONCE_BYTES // batch_bytes)

    @property
    def num_samples(self) -> int:
        return len(self._rows)

    @property
    def num_batches(self) -> int:
        whole, rest = divmod(self.num_samples, self.batch_size)
        # in training a lone last sample joins the batch before it: batch norm has no variance of one sample
        return whole + (rest > (1 if self.shuffle and whole else 0))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on."""
        self._store.expect(self._rows_between(epoch, start, start + self._at_once))
        for first in range(start, self.num_batches, self._at_once):
            end = min(first + self._at_once, self.num_batches)
            batches = self._make(epoch, first, end)
            self._store.expect(self._rows_between(epoch, end, end + self._at_once))
            yield from batches

    def batch(self, epoch: int, number: int) -> Batch:
        """Return batch `number` (from 0) of an epoch; the same arguments give the same batch always."""
        if not 0 <= number < self.num_batches:
            raise IndexError(f"batch {number} of {self.num_batches}")
        return self._make(epoch, number, number + 1)[0]

    def _make(self, epoch: int, first: int, end: int) -> list[Batch]:
        """Make batches `first` ... `end` - 1 with one gather, one transfer and one call of every transform."""
        rows = self._rows_between(epoch, first, end)
        chosen = self._store.targets.index_select(0, rows.to(self._store.targets.device))
        targets = chosen.to(self.device, non_blocking=True)
        images = self._images(rows, epoch, epoch if self.shuffle else 0)
        images = resized(images, side_of(self.resolutions, epoch))
        if end - first == 1:
            return [Batch(images, targets, rows)]
        sizes = [self.batch_size] * (end - first - 1)
        sizes.append(len(rows) - sum(sizes))
        parts = zip(*(torch.split(whole, sizes) for whole in (images, targets, rows)), strict=True)
        return [Batch(*part) for part in parts]

    def _rows_between(self, epoch: int, first: int, end: int) -> Tensor:
        """Return the rows of batches `first` ... `end` - 1; none of those that are not."""
        stop = self.num_samples if end >= self.num_batches else end * self.batch_size
        return self._rows_of(epoch)[first * self.batch_size : stop]

    def _rows_of(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return self._rows
        if self._order[0] != epoch:
            order = torch.randperm(self.num_samples, generator=generator(self.seed, "order", epoch))
            self._order = (epoch, self._rows[order])
        return self._order[1]

    def _images(self, rows: Tensor, epoch: int, drawn: int) -> Tensor:
        transform, custom = self.prepared.transform, self.prepared.custom
        pixels = self._pixels(rows, drawn)
        unit = False
        if self.augment is not None:
            if pixels.dtype != torch.uint8:  # in [0, 1] black is 0, which random crops and rotations fill in
                pixels, unit = transform.unit(pixels), True
            pixels = self.augment(pixels, epoch, rows.to(pixels.device))
        if custom is not None:
            cut = custom_input(transform, pixels, in_unit_range=unit)
            return apply_custom(custom, cut, self.seed, drawn, rows).to(self.device)
        return transform.finish(pixels, in_unit_range=unit)

    def _pixels(self, rows: Tensor, drawn: int) -> Tensor:
        """Return (B, H, W, C) on the device, gathered from the store or read from the user's data set."""
        items = self._store.items
        if items is None:
            return self._store.gather(rows.to(self._store.pixels.device)).to(self.device, non_blocking=True)
        transform = self.prepared.transform
        shape = (transform.channels, *transform.image_size)
        read = [(row, read_item(items, row, self.seed, drawn)) for row in rows.tolist()]
        if transform.kind == "ready":
            return torch.stack([ready_item(image, shape, row) for row, image in read]).to(self.device)
        decoded = [torch.from_numpy(transform.decode(as_picture(image)).copy()) for _, image in read]
        return torch.stack(decoded).to(self.device)
