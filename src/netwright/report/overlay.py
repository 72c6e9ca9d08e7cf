"""Masks over images: each class in its colour, the first one left clear."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from netwright.config.masks import IGNORED

Pixels = npt.NDArray[np.uint8]
STRENGTH = 0.5  # of the colour; the rest is the image
GAP_PIXELS = 4
_PIXELS_AT_ONCE = 2**18
_IGNORED_COLOUR = (128, 128, 128)
# told apart on dark and light images, by most who see red and green alike too (Okabe & Ito 2008, then darker ones)
_COLOURS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)),
    *((140, 90, 0), (30, 90, 130), (0, 90, 60), (150, 140, 20), (110, 60, 140), (130, 40, 0), (120, 60, 90)),
)
_WORDS = (
    *("orange", "sky blue", "green", "yellow", "blue", "vermilion", "pink"),
    *("brown", "dark blue", "dark green", "olive", "violet", "dark red", "plum"),
)


def legend(class_names: Sequence[str]) -> str:
    """Say which class has which colour in overlays, the first 14 at most."""
    shown = [f"{name} {_WORDS[(place - 1) % len(_WORDS)]}" for place, name in enumerate(class_names[1:], start=1)]
    more = ["…"] if len(shown) > len(_WORDS) else []
    return ", ".join([f"{class_names[0]} is left clear", *shown[: len(_WORDS)], *more])


def colour_of(place: int) -> tuple[int, int, int]:
    """Return the colour (red, green, blue) of class number `place`; they come again after 14."""
    return _IGNORED_COLOUR if place == IGNORED else _COLOURS[(place - 1) % len(_COLOURS)]


def overlay(image: Pixels, mask: Pixels) -> Pixels:
    """Lay a mask (H, W) over an image (H, W, C) uint8, C 1 or 3: (H, W, 3)."""
    made = np.empty((*mask.shape, 3), np.uint8)
    height = max(1, _PIXELS_AT_ONCE // max(1, mask.shape[1]))
    for top in range(0, len(mask), height):  # places in the table take 8 bytes a pixel
        rows = slice(top, top + height)
        first = mask[rows].astype(np.intp) * 256
        for channel in range(3):
            values = image[rows, :, channel if image.shape[2] == 3 else 0]
            np.take(_mixed()[channel], first + values, out=made[rows, :, channel])
    return made


@cache
def _mixed() -> npt.NDArray[np.uint8]:
    """Return what a class makes of a value: (3, 256 · 256) uint8, at class · 256 + value; 13 times as quick."""
    values = np.arange(256, dtype=np.float32)
    made = np.empty((3, IGNORED + 1, 256), np.uint8)
    made[:, 0] = values
    for place in range(1, IGNORED + 1):
        for channel, shade in enumerate(colour_of(place)):
            made[channel, place] = ((1 - STRENGTH) * values + STRENGTH * shade).round()
    return made.reshape(3, -1)


def side_by_side(*pictures: Pixels) -> Pixels:
    """Put pictures (H, W, 3) of one height beside each other, with a white gap."""
    gap = np.full((pictures[0].shape[0], GAP_PIXELS, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(parts[1:], axis=1)
