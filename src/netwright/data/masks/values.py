"""The values of a mask file's pixels: gray levels, numbers of a palette, or colours."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from netwright.data.decode import open_upright, quiet_pillow
from netwright.errors import DataError

Array = npt.NDArray[Any]

_GRAY_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N")  # a palette's numbers count, not its colours
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
_THREADS = 8
MOST_VALUES = 256


@dataclass(frozen=True)
class Look:
    """What a mask file has: (height, width) and its distinct values; of `colours` 0xRRGGBB. `values` is None where
    there are more than 256. `name` is what messages call it; what is `transparent` is not read."""

    size: tuple[int, int]
    values: frozenset[int] | None
    colours: bool
    name: str
    transparent: bool = False


def look_at(paths: Sequence[Path]) -> list[Look | str]:
    """Look at mask files; in the place of one that can't be read stands the reason."""

    def one(path: Path) -> Look | str:
        try:
            image = open_upright(path)
            values, colours = values_of(image, path)
        except DataError as error:
            return str(error)
        found = np.unique(values)
        few = frozenset(found.tolist()) if len(found) <= MOST_VALUES else None
        return Look((values.shape[0], values.shape[1]), few, colours, str(path), image.mode in _TRANSPARENT)

    with quiet_pillow(), ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(one, paths))


def read_values(path: Path) -> tuple[Array, bool]:
    """Return a mask's values (H, W) int32 and whether they are colours, 0xRRGGBB. Raises DataError, naming the file."""
    return values_of(open_upright(path), path)


def values_of(image: Image.Image, name: object) -> tuple[Array, bool]:
    """Do the same for a picture in memory."""
    if image.mode in _GRAY_MODES:
        values = np.asarray(image.convert("L") if image.mode == "1" else image)
        return values.astype(np.int32), False
    if image.mode == "F":
        raise DataError(f"{name}: has floating-point pixels, which are no classes; save whole numbers, or colours")
    return packed(image.convert("RGB")), True


def packed(image: Image.Image) -> Array:
    """Return an RGB picture's colours as numbers 0xRRGGBB, (H, W) int32."""
    channels = np.asarray(image).astype(np.int32)
    return (channels[..., 0] << 16) | (channels[..., 1] << 8) | channels[..., 2]


def is_gray(colour: int) -> bool:
    """Say whether a colour 0xRRGGBB is a gray one."""
    return colour == (colour & 0xFF) * 0x010101
