"""Small pictures of single images, as the network sees them, for the report."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from netwright.data.prepare import PreparedData
from netwright.report.page import Picture

SIDE_PIXELS = 160  # shown at up to 160 CSS pixels
SMALL_PIXELS = 64  # up to here single pixels are kept exactly, as PNG
JPEG_QUALITY = 80


def thumbnails(prepared: PreparedData, rows: Sequence[int]) -> Mapping[int, Picture]:
    """Return a picture of each row (as the evaluation transform crops it), where images are ordinary ones, else none.

    None of items that are read anew, of ready tensors and of pixels that are not uint8: what they look like is not
    known. `rows` are of the labelled data, and decoded."""
    store = prepared.store
    if not rows or store.items is not None or (store.pictures is None and store.pixels.dtype != torch.uint8):
        return {}
    found: dict[int, Picture] = {}
    for start in range(0, len(rows), 32):
        part = torch.tensor(rows[start : start + 32], dtype=torch.int64)
        pixels = store.views(part.to(store.pixels.device), prepared.transform).cpu()
        if pixels.dtype != torch.uint8:
            return {}
        found |= {int(row): thumbnail(each.numpy()) for row, each in zip(part, pixels, strict=True)}
    return found


def thumbnail(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Picture:
    """Encode pixels (H, W, C) uint8, C 1 or 3, at most 160 on a side: small ones exactly, others as JPEG."""
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    image.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    buffer = io.BytesIO()
    if max(image.size) <= SMALL_PIXELS:
        image.save(buffer, format="PNG", optimize=True)
    else:
        image.save(buffer, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    return Picture(buffer.getvalue(), *image.size)
