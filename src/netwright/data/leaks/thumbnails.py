"""Gray thumbnails of the whole pictures, at most 32 × 32: what twins are looked for in."""

import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import numpy as np
from PIL import Image

from netwright.data.decode import decode_picture, quiet_pillow
from netwright.data.items import as_picture, read_item
from netwright.data.labelled import Array, ArrayImages, FileImages, ImageSource, ItemImages, Rows
from netwright.errors import DataError
from netwright.files.blocks import spare_values

SIZE = 32
SMALLEST = 16  # pixels: pictures smaller than this may look the same and show two things
_RED, _GREEN, _BLUE = 19595, 38470, 7471  # of 65536: Pillow's convert("L"), ITU-R BT.601
_BLOCK = 2048
IN_FILE_BYTES = 2**27  # of thumbnails that lie in a file gone with the process: those of 130,000 photographs


def gray_thumbnails(images: ImageSource, rows: Rows) -> Array:
    """Return gray thumbnails (len(rows), h, w) uint8: 32 × 32, or the images' own size where all have one, up to that.

    Whole pictures without regard to their shape, so that a copy of another resolution looks the same. JPEGs are decoded
    at the smallest of their sizes that is over 64 pixels. An image that can't be read or is smaller than 16 pixels is
    black, so like none: the first kind is named when it is decoded."""
    if isinstance(images, ArrayImages):
        return _of_arrays(images, rows)
    parallel = isinstance(images, FileImages) or (isinstance(images, ItemImages) and images.parallel)
    with quiet_pillow(), ThreadPoolExecutor(min(8, os.cpu_count() or 1) if parallel else 1) as pool:
        read = _reader(images)
        # in blocks: what waits in a pool takes more memory than a thumbnail
        blocks = (pool.map(read, rows[start : start + _BLOCK].tolist()) for start in range(0, len(rows), _BLOCK))
        return _together(chain.from_iterable(blocks), len(rows))


def _together(small: Iterable[Array], count: int) -> Array:
    """Return thumbnails as one array: of their own size as long as all have one, else 32 × 32."""
    made: Array | None = None
    for place, part in enumerate(small):
        if not part.size:
            continue
        if made is None:
            made = _zeros(count, part.shape)
        elif part.shape != made.shape[1:] != (SIZE, SIZE):
            larger = _zeros(count, (SIZE, SIZE))
            for each, kept in zip(made[:place], larger, strict=False):
                kept[...] = _resized(Image.fromarray(each))
            made = larger
        made[place] = part if part.shape == made.shape[1:] else _resized(Image.fromarray(part))
    return _zeros(count, (SIZE, SIZE)) if made is None else made


def _zeros(count: int, size: tuple[int, ...]) -> Array:
    return spare_values(count * math.prod(size), np.dtype(np.uint8), IN_FILE_BYTES).reshape(count, *size)


def _reader(images: ImageSource) -> Callable[[int], Array]:
    """Return row -> gray pixels, none for an image that can't be compared."""

    def read(row: int) -> Array:
        try:
            if isinstance(images, FileImages):
                draft = (2 * SIZE, 2 * SIZE)
                return _small(decode_picture(images.paths[row], 1, window=images.value_range, draft=draft))
            assert isinstance(images, ItemImages)
            return _small(_picture(images.item(row) if images.parallel else read_item(images, row, 0, 0)))
        except DataError:
            return np.empty((0, 0), np.uint8)

    return read


def _small(picture: Image.Image) -> Array:
    if min(picture.size) < SMALLEST:
        return np.empty((0, 0), np.uint8)
    return np.asarray(picture) if max(picture.size) <= SIZE else _resized(picture)


def _resized(picture: Image.Image) -> Array:
    return np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def _picture(item: Any) -> Image.Image:
    picture = as_picture(item)
    if isinstance(picture, np.ndarray):
        plain = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
        picture = Image.fromarray(np.ascontiguousarray(plain))
    return decode_picture(picture, 1)


def _of_arrays(images: ArrayImages, rows: Rows) -> Array:
    _, height, width, _ = images.pixels.shape
    native = max(height, width) <= SIZE
    made = np.empty((len(rows), *((height, width) if native else (SIZE, SIZE))), np.uint8)
    for start in range(0, len(rows), _BLOCK):
        gray = _gray(_as_bytes(images.pixels[rows[start : start + _BLOCK]], images.value_range))
        for place, part in enumerate([] if native else gray):
            made[start + place] = _resized(Image.fromarray(part))
        if native:
            made[start : start + _BLOCK] = gray
    return made


def _as_bytes(pixels: Array, value_range: tuple[float, float] | None) -> Array:
    if pixels.dtype == np.uint8:
        return pixels
    black, white = value_range or (0.0, 1.0)
    levels: Array = np.rint((pixels.astype(np.float32) - black) * (255 / (white - black)))
    return levels.clip(0, 255).astype(np.uint8)


def _gray(pixels: Array) -> Array:
    if pixels.shape[3] == 1:
        return np.ascontiguousarray(pixels[..., 0])
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    gray: Array = (red * _RED + green * _GREEN + blue * _BLUE + 32768) >> 16
    return np.asarray(gray, np.uint8)
