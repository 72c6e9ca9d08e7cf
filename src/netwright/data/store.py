"""The decoded store: every image once, resized, in one block of memory or one mapped file."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from netwright.data.boxes import cut_boxes
from netwright.data.decoded import decode
from netwright.data.decoded_pictures import decode_pictures
from netwright.data.labelled import Array, ItemImages, LabelledData, Rows
from netwright.data.masks.store import decode_masks
from netwright.data.pictures import Pictures
from netwright.data.transform import EvalTransform
from netwright.files.block_file import mapping_of, will_read
from netwright.files.blocks import Say

EXPECTED_BYTES = 2**14  # of a row that is worth a call to the system; smaller ones come with their neighbours


@dataclass(eq=False)
class Store:
    """Decoded images: `pixels` (M, H, W, C), uint8 or the dtype of the user's arrays; `targets` as batches have them.

    Row i, sample i of the labelled data, lies at `places[i]` of the pixels, or at i where places is None: all rows are
    there. Items that are read anew every time have no pixels here but `items`, whole pictures none but `pictures`."""

    pixels: Tensor
    targets: Tensor
    items: ItemImages | None = None
    places: Tensor | None = None
    pictures: Pictures | None = None
    masks: Tensor | None = None  # (M, H, W) uint8, at the places of the pixels
    _values: Array | None = field(default=None, repr=False)  # the pixels where they lie in a mapped file in large rows
    _copies: dict[torch.device, "Store"] = field(default_factory=dict, repr=False)

    def gather(self, rows: Tensor) -> Tensor:
        """Return the pixels (B, H, W, C) of rows (B,) int64: uint8, or float32 for every other dtype."""
        # 4 µs where pixels[rows] takes 60 (64 rows of 28 × 28): whole rows are copied, not element by element
        places = rows if self.places is None else self.places.index_select(0, rows)
        pixels = self.pixels.index_select(0, places)
        return pixels if pixels.dtype == torch.uint8 else pixels.to(torch.float32)

    def gather_masks(self, rows: Tensor) -> Tensor:
        """Return the masks (B, H, W) uint8 of rows (B,) int64."""
        assert self.masks is not None
        places = rows if self.places is None else self.places.index_select(0, rows)
        return self.masks.index_select(0, places)

    def expect(self, rows: Tensor) -> None:
        """Have the pixels of rows (B,) read from the disk while something else is computed; no effect in memory."""
        if self._values is None or len(rows) == 0:
            return
        places = rows if self.places is None else self.places.index_select(0, rows)
        num_bytes = self._values[0].nbytes
        will_read(self._values, [(place * num_bytes, num_bytes) for place in places.tolist()])

    def views(self, rows: Tensor, transform: EvalTransform) -> Tensor:
        """Return what the network sees of rows (B,) int64 in evaluation, before `finish`: (B, *image_size, C)."""
        if self.pictures is None:
            places = rows if self.places is None else self.places.index_select(0, rows)
            return transform.crop(self.pixels.index_select(0, places))
        pictures = [self.pictures[row] for row in rows.tolist()]
        boxes = [transform.central_box((picture.shape[0], picture.shape[1])) for picture in pictures]
        return cut_boxes(pictures, boxes, transform.image_size)

    def on(self, device: torch.device) -> "Store":
        """Return the store on a GPU when it fits in half of what is free there, else itself."""
        gathered = self.items is None and self.pictures is None
        if device.type != "cuda" or not gathered or self.pixels.device == device:
            return self
        if device not in self._copies:
            if not fits_on(device, self.pixels):
                return self
            pixels = self.pixels if self.pixels.dtype == torch.uint8 else self.pixels.to(torch.float32)
            places = None if self.places is None else self.places.to(device)
            masks = None if self.masks is None else self.masks.to(device)
            self._copies[device] = Store(pixels.to(device), self.targets.to(device), places=places, masks=masks)
        return self._copies[device]


def fits_on(device: torch.device, values: Tensor) -> bool:
    """Say whether values may lie on a GPU: in half of the memory that is free, the rest is for the network."""
    return values.numel() * values.element_size() <= torch.cuda.mem_get_info(device)[0] // 2


def build_store(
    labelled: LabelledData, rows: Rows, transform: EvalTransform, say: Say | None = None
) -> tuple[Store, dict[int, str], tuple[str, ...]]:
    """Decode some rows (sorted), or map what is kept of them; return the store, the bad rows with reasons, notices.

    Raises as `decode` does."""
    if transform.whole:
        pictures, bad, notices = decode_pictures(labelled, rows, transform, say)
        nothing = torch.empty((0, *transform.store_size, transform.channels), dtype=torch.uint8)
        return Store(nothing, as_targets(labelled), pictures=pictures), bad, notices
    decoded = decode(labelled, rows, transform, say)
    places = None
    if decoded.rows is not None:
        places = torch.full((len(labelled),), -1, dtype=torch.int64)
        places[torch.from_numpy(decoded.rows)] = torch.arange(len(decoded.rows))
    store = store_of(decoded.pixels, as_targets(labelled), places)
    if labelled.masks is not None:
        there = np.arange(len(labelled), dtype=np.int64) if decoded.rows is None else decoded.rows
        store = replace(store, masks=decode_masks(labelled, there, transform))
    return store, decoded.bad, decoded.notices


def store_of(pixels: Array, targets: Tensor, places: Tensor | None = None) -> Store:
    """Return the store of pixels (M, H, W, C) in memory or in a mapped file; see `Store`."""
    mapped = len(pixels) > 0 and pixels[0].nbytes >= EXPECTED_BYTES and mapping_of(pixels) is not None
    return Store(torch.from_numpy(pixels), targets, places=places, _values=pixels if mapped else None)


def as_targets(labelled: LabelledData) -> Tensor:
    """Return the targets as batches have them: classes (N,) int64, numbers (N,) float32."""
    targets = torch.from_numpy(np.ascontiguousarray(labelled.targets))
    return targets.to(torch.float32) if targets.is_floating_point() else targets
