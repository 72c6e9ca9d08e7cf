"""Pictures and masks as PNG files."""

import io
from typing import Any

import numpy.typing as npt
from PIL import Image

from netwright.config.masks import IGNORED
from netwright.report.overlay import colour_of


def png_bytes(pixels: npt.NDArray[Any], *, with_colours: bool = False, quick: bool = False) -> bytes:
    """Encode pixels (H, W, 3) or (H, W) uint8; `with_colours`: a mask, whose numbers stay and are shown as colours.

    `quick`: for who waits; of 4096 × 4096 pixels in 0.13 s for a mask and 0.64 for an overlay, not 1.1 and 2.6, with
    a mask's file twice as large."""
    picture = Image.fromarray(pixels)
    if with_colours:
        picture.putpalette([value for place in range(IGNORED + 1) for value in _shown(place)])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **({"compress_level": 3} if quick else {"optimize": True}))
    return buffer.getvalue()


def _shown(place: int) -> tuple[int, int, int]:
    return (0, 0, 0) if place == 0 else colour_of(place)


def colour_name(place: int) -> str:
    """Return the colour of class number `place` as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*_shown(place))
