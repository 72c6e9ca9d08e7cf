"""What a frozen backbone says of images: computed once, kept beside the decoded store, and trained on as batches."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from netwright.data.batches import Batches, Visits
from netwright.data.decoding import decoding_key
from netwright.data.fingerprint import sample_digests
from netwright.data.labelled import Array, Rows
from netwright.data.prepare import PreparedData
from netwright.data.store import Store, fits_on
from netwright.files.blocks import Say, drop_block, open_block, spare_values
from netwright.runtime.machine import Machine, memory_format_name

if TYPE_CHECKING:
    from netwright.data.augment import Augment

IMAGES_AT_ONCE = 16  # through the backbone: a layer of VGG-16 takes 13 MB an image
PART_IMAGES = 8192  # kept one after the other, so that a killed run goes on behind the last whole part
WHOLE_BYTES = 2**27  # of features together in memory; more lie in a file, as the folder's size is no matter of memory
_TOLD_SECONDS = 15.0
Backbone = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Features:
    """`plain` (N, …) float32 of all images in use, by `place_of` their row; `views` (T, …) of train's, in its order.

    `num_computed` images went through the backbone now, in `seconds`; the others were kept by an earlier run."""

    plain: Array
    rows: Rows
    views: tuple[Array, ...] = ()
    num_computed: int = 0
    seconds: float = 0.0
    notices: tuple[str, ...] = ()


class FeatureBatches(Batches):
    """The batches of a split whose `images` are features (B, …) float32, in the order of `Batches`.

    With views, epoch e of training has view (e - 1) modulo their number of every image: while there are as many views
    as epochs, it trains on what the whole network would be given in each of them. (A row that a balanced epoch shows
    again has the same view there.)"""

    def __init__(
        self, prepared: PreparedData, split: str, features: Features, *, batch_size: int, device: torch.device,
        seed: int = 0, shuffle: bool = False, balanced: bool = False,
    ) -> None:  # fmt: skip
        width = math.prod(features.plain.shape[1:])
        nothing = Store(torch.empty((0, 1, 1, 1), dtype=torch.uint8), prepared.store.targets)
        bare = replace(prepared, store=nothing, custom=None, input_shape=(width, 1, 1))
        order: dict[str, Any] = {"seed": seed, "shuffle": shuffle, "balanced": balanced}
        super().__init__(bare, split, batch_size=batch_size, device=device, **order)
        views = features.views if shuffle and features.views else (features.plain,)
        rows = prepared.rows[split] if views is features.views else features.rows
        self._places = torch.full((len(prepared.labelled),), -1, dtype=torch.int64)
        self._places[torch.from_numpy(rows)] = torch.arange(len(rows))
        self._places_there = self._places.to(device)
        self._views = [_on_device(torch.from_numpy(view), device) for view in views]

    def _read(self, visits: Visits, epoch: int) -> Tensor:
        view = self._views[(epoch - 1) % len(self._views)]
        on_cpu = view.device.type == "cpu"
        places, chosen = (self._places, visits.here) if on_cpu else (self._places_there, visits.there)
        places = places.index_select(0, chosen % len(places))
        return view.index_select(0, places).to(self.device, non_blocking=True)

    def whole(self) -> tuple[Tensor, Tensor]:
        """Return the features (V · N, …) of the split in all views, one view after the other, and targets (V · N,)."""
        places = self._places.index_select(0, self._rows)
        of_store = self._store.targets
        targets = of_store[self._rows.to(of_store.device)].to(self.device).repeat(len(self._views))
        if self._views[0].device.type != "cpu":
            return torch.cat([view.index_select(0, places.to(view.device)) for view in self._views]), targets
        shape = (len(self._views), len(places), *self._views[0].shape[1:])
        values = spare_values(math.prod(shape), np.dtype(np.float32), WHOLE_BYTES)
        whole = torch.from_numpy(values).view(shape)
        for view, made in zip(self._views, whole, strict=True):
            torch.index_select(view, 0, places, out=made)
        return whole.flatten(0, 1).to(self.device), targets


def _on_device(values: Tensor, device: torch.device) -> Tensor:
    return values.to(device) if device.type == "cuda" and fits_on(device, values) else values


class FeatureMaker:
    """Runs images through a backbone once: features of rows, kept under all that they depend on.

    `about` says which backbone it is (JSON, with a hash of its weights), `name` is for people."""

    def __init__(
        self, prepared: PreparedData, backbone: Backbone, about: Mapping[str, Any], machine: Machine, *,
        name: str, seed: int = 0, say: Say | None = None,
    ) -> None:  # fmt: skip
        self._prepared, self._backbone, self._machine = prepared, backbone, machine
        self._name, self._seed, self._say = name, seed, say
        layout, device = memory_format_name(machine.memory_format), str(machine.device)
        self._about = {
            "backbone": dict(about),
            "computed": [device, machine.precision, layout, machine.threads, machine.exact, torch.__version__],
        }
        self._shape = self._shape_of_one()
        self._done = self._total = 0
        self._told = time.monotonic()
        self.seconds = 0.0
        self.notices: tuple[str, ...] = ()

    def make(self, augment: "Augment | None", augmentation: list[Any], num_views: int) -> Features:
        """Return the features of train and val, and of `num_views` augmented views of train where there is `augment`.

        `augmentation` is the recipe's, for the key. Raises as `open_block` does."""
        parts = self._prepared.rows
        train = parts["train"]
        plain = [] if augment is not None else [train]
        plain += [parts["val"]] if "val" in parts else []
        rows = np.sort(np.concatenate(plain)) if plain else train[:0]
        self._total = len(rows) + (num_views * len(train) if augment is not None else 0)
        whole = self._features(rows, None, {}, 1)
        views: tuple[Array, ...] = ()
        if augment is not None:
            drawn = {"augmentation": augmentation, "seed": self._seed}
            views = tuple(
                self._features(train, augment, {**drawn, "view": view}, view) for view in range(1, num_views + 1)
            )
        return Features(whole, rows, views, self._done, self.seconds, self.notices)

    def _shape_of_one(self) -> tuple[int, ...]:
        """Return the shape of one image's features: a forward pass of one image, which is thrown away."""
        channels, height, width = self._prepared.input_shape
        image = torch.zeros(1, channels, height, width, device=self._machine.device)
        with torch.inference_mode(), self._machine.autocast():
            return tuple(self._backbone(self._machine.arrange(image)).shape[1:])

    def _features(self, rows: Rows, augment: "Augment | None", drawn: dict[str, Any], epoch: int) -> Array:
        """Return the features (N, …) of rows, whole or, when there are many, put together from parts."""
        if not len(rows):  # no val, and train in views
            return np.zeros((0, *self._shape), np.float32)
        starts = range(0, len(rows), PART_IMAGES)
        if len(starts) <= 1:
            return self._kept(rows, drawn, augment, epoch)

        def assemble(values: Array) -> None:
            for start in starts:
                some = rows[start : start + PART_IMAGES]
                values[start : start + len(some)] = self._kept(some, drawn, augment, epoch)

        whole = self._opened(rows, {**drawn, "parts": PART_IMAGES}, assemble)
        for start in starts:
            drop_block(self._key(rows[start : start + PART_IMAGES], drawn))
        return whole

    def _kept(self, rows: Rows, drawn: dict[str, Any], augment: "Augment | None", epoch: int) -> Array:
        return self._opened(rows, drawn, lambda values: self._compute(values, rows, augment, epoch))

    def _opened(self, rows: Rows, drawn: dict[str, Any], fill: Callable[[Array], None]) -> Array:
        shape = (len(rows), *self._shape)

        def filled(values: Array) -> dict[str, Any]:
            fill(values.reshape(shape))
            return {}

        view = f", view {drawn['view']}" if "view" in drawn else ""
        title = f"{self._prepared.labelled.name}: {self._name}'s features of {len(rows):,} images{view}"
        size = math.prod(shape)
        block = open_block(self._key(rows, drawn), title=title, size=size, dtype="float32", fill=filled, say=self._say)
        self.notices += block.notices
        return block.values.reshape(shape)

    def _key(self, rows: Rows, drawn: dict[str, Any]) -> dict[str, Any]:
        digests = sample_digests(self._prepared.labelled.images)
        transform = msgspec.structs.replace(self._prepared.transform, views="none")  # which are of the whole network
        of_rows = {"rows": hashlib.sha256(rows.data).hexdigest()} if drawn else {}  # what is drawn follows the row
        images = hashlib.sha256(np.ascontiguousarray(digests[rows]).data).hexdigest()
        return {
            **{"kind": "features", "images": images, "decoding": decoding_key(transform)},
            **{"transform": msgspec.to_builtins(transform), **self._about, **drawn, **of_rows},
        }

    def _compute(self, values: Array, rows: Rows, augment: "Augment | None", epoch: int) -> None:
        """Run the images of rows through the backbone and write what it says into `values` (N, …)."""
        begun, start = time.monotonic(), 0
        for images in self._images(rows, augment, epoch):
            with torch.inference_mode(), self._machine.autocast():
                features = self._backbone(self._machine.arrange(images))
            values[start : start + len(images)] = features.float().cpu().numpy()
            start += len(images)
            self._done += len(images)
            self._tell()
        self.seconds += time.monotonic() - begun

    def _images(self, rows: Rows, augment: "Augment | None", epoch: int) -> Iterator[Tensor]:
        some = replace(self._prepared, rows={"train": rows})
        batches = Batches(
            some, "train", batch_size=IMAGES_AT_ONCE, device=self._machine.device, seed=self._seed, augment=augment
        )
        return (batch.images for batch in batches.epoch(epoch))

    def _tell(self) -> None:
        if self._say is not None and time.monotonic() - self._told > _TOLD_SECONDS:
            self._told = time.monotonic()
            self._say(f"features: {self._done:,} of {self._total:,} images through {self._name}")
