"""Masks over images: each class in its colour, the first one left clear."""

import numpy as np
import numpy.typing as npt

from netwright.config.masks import IGNORED

Pixels = npt.NDArray[np.uint8]
STRENGTH = 0.5  # of the colour; the rest is the image
GAP_PIXELS = 4
_IGNORED_COLOUR = (128, 128, 128)
# told apart on dark and light images, by most who see red and green alike too (Okabe & Ito 2008, then darker ones)
_COLOURS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)),
    *((140, 90, 0), (30, 90, 130), (0, 90, 60), (150, 140, 20), (110, 60, 140), (130, 40, 0), (120, 60, 90)),
)


def colour_of(place: int) -> tuple[int, int, int]:
    """Return the colour (red, green, blue) of class number `place`; they come again after 14."""
    return _IGNORED_COLOUR if place == IGNORED else _COLOURS[(place - 1) % len(_COLOURS)]


def overlay(image: Pixels, mask: Pixels) -> Pixels:
    """Lay a mask (H, W) over an image (H, W, C) uint8, C 1 or 3: (H, W, 3)."""
    image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    colours = np.zeros((IGNORED + 1, 3), np.float32)
    for place in range(1, IGNORED + 1):
        colours[place] = colour_of(place)
    mixed = (1 - STRENGTH) * image + STRENGTH * colours[mask]
    made: Pixels = np.where((mask == 0)[..., None], image, mixed.round().astype(np.uint8))
    return made


def side_by_side(*pictures: Pixels) -> Pixels:
    """Put pictures (H, W, 3) of one height beside each other, with a white gap."""
    gap = np.full((pictures[0].shape[0], GAP_PIXELS, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(parts[1:], axis=1)
