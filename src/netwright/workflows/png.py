"""Pictures and masks as PNG files."""

import io
from typing import Any

import numpy.typing as npt
from PIL import Image

from netwright.config.masks import IGNORED
from netwright.report.overlay import colour_of


def png_bytes(pixels: npt.NDArray[Any], *, with_colours: bool = False) -> bytes:
    """Encode pixels (H, W, 3) or (H, W) uint8; `with_colours`: a mask, whose numbers stay and are shown as colours."""
    picture = Image.fromarray(pixels)
    if with_colours:
        picture.putpalette([value for place in range(IGNORED + 1) for value in _shown(place)])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _shown(place: int) -> tuple[int, int, int]:
    return (0, 0, 0) if place == 0 else colour_of(place)
