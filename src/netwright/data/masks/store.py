"""Masks decoded once, beside the images: as uint8, moved and resized as their images are, by nearest neighbour."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from netwright.config.masks import IGNORED
from netwright.data.decode import quiet_pillow
from netwright.data.decoding import decoder
from netwright.data.labelled import Array, LabelledData, Masks, Rows
from netwright.data.resize import fit_nearest
from netwright.data.transform import EvalTransform
from netwright.files.blocks import open_block

_THREADS = 8


def decode_masks(labelled: LabelledData, rows: Rows, transform: EvalTransform) -> Tensor:
    """Return the masks of some rows as the store keeps their images, (M, *store_size) uint8; mapped where kept.

    Raises DataError for a mask that can't be read any more, MachineError when memory and disk are full."""
    masks = labelled.masks
    assert masks is not None
    shape = (len(rows), *transform.store_size)
    block = open_block(
        _key(masks, rows, transform),
        title=f"{labelled.name}: {len(rows):,} masks, {shape[1]} × {shape[2]}",
        size=int(np.prod(shape, dtype=np.int64)),
        dtype="uint8",
        fill=lambda values: _fill(masks, rows, values.reshape(shape)),
    )
    return torch.from_numpy(block.values.reshape(shape))


def read_mask(masks: Masks, row: int) -> Array:
    """Return one mask's classes in its own size, (H, W) uint8. Raises DataError."""
    return masks.coding.classes_of(*masks.values(row))


def count_pixels(masks: Tensor, num_classes: int) -> Tensor:
    """Count the pixels of each class in masks (M, H, W), (K,) int64."""
    counts = torch.zeros(IGNORED + 1, dtype=torch.int64)
    for mask in masks:
        counts += torch.bincount(mask.flatten(), minlength=IGNORED + 1)
    return counts[:num_classes]


def _fill(masks: Masks, rows: Rows, made: Array) -> dict[str, Any]:
    def one(place: int) -> None:
        classes = read_mask(masks, int(rows[place]))
        made[place] = np.asarray(fit_nearest(Image.fromarray(classes), (made.shape[1], made.shape[2])))

    with quiet_pillow(), ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(one, range(len(rows))))
    return {}


def _key(masks: Masks, rows: Rows, transform: EvalTransform) -> dict[str, Any]:
    digests = hashlib.sha256(np.ascontiguousarray(masks.digests[rows]).data).hexdigest()
    coding = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(masks.coding).items()}
    size = list(transform.store_size)
    return {"kind": "masks", "masks": digests, "coding": coding, "size": size, "decoder": decoder()}
