"""Filters and feature maps as one sheet of small pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from netwright.inspection.filters import Tiles
from netwright.report.style import (
    LARGE,
    MUTED,
    POINTS_PER_INCH,
    SMALL,
    blank,
    fitted,
    new_figure,
    save_figure,
    words,
)

_TILE_INCHES, _GAP = 0.62, 0.12  # the gap is a part of a tile
_LARGE_TILE_INCHES = 1.25
GAP_PIXELS = 4


def mosaic(tiles: Tiles, columns: int = 16, side_pixels: int = 32) -> npt.NDArray[np.uint8]:
    """Return all pictures of a layer as one (H, W, 3) uint8, white between them, each about `side_pixels` wide."""
    factor = max(1, side_pixels // tiles.tiles.shape[2])
    pictures = [_shown(picture).repeat(factor, axis=0).repeat(factor, axis=1) for picture in tiles.tiles]
    height, width = pictures[0].shape[0] + GAP_PIXELS, pictures[0].shape[1] + GAP_PIXELS
    columns = min(columns, len(pictures))
    sheet = np.full((math.ceil(len(pictures) / columns) * height, columns * width, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        top, left = (place // columns) * height, (place % columns) * width
        sheet[top : top + height - GAP_PIXELS, left : left + width - GAP_PIXELS] = picture
    return sheet[:-GAP_PIXELS, :-GAP_PIXELS]


def plot_tiles(tiles: Tiles, path: Path, *, title: str, note: str, labels: Sequence[str] = ()) -> None:
    """Write `draw_tiles` as a PNG."""
    save_figure(draw_tiles(tiles, title=title, note=note, labels=labels), path)


def draw_tiles(tiles: Tiles, *, title: str, note: str, labels: Sequence[str] = ()) -> Figure:
    """Draw the pictures of a layer in rows, pixel by pixel, each with its label under it if there are labels."""
    pictures = tiles.tiles
    number = len(pictures)
    side = _LARGE_TILE_INCHES if labels else _TILE_INCHES
    columns = min(number, 4 if labels else 8 if number <= 32 else 16)
    rows = math.ceil(number / columns)
    ratio = pictures.shape[1] / pictures.shape[2]
    step_down = ratio * (1 + _GAP) + (0.22 if labels else 0)  # in widths of a tile
    width, height = max(columns * side * (1 + _GAP) + 0.2, 5.0), rows * side * step_down + 0.55
    figure = new_figure(width, height)
    room = (width - 0.2) * POINTS_PER_INCH
    heading = fitted(title, room, LARGE, weight="bold")
    figure.suptitle(heading, x=0.1 / width, ha="left", **words(LARGE, fontweight="bold"))
    figure.supxlabel(fitted(note, room, SMALL), x=0.1 / width, ha="left", **words(SMALL, MUTED))
    axes = figure.add_subplot()
    blank(axes)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        left, top = column * (1 + _GAP), row * step_down
        axes.imshow(_shown(picture), extent=(left, left + 1, top + ratio, top), interpolation="nearest")
        if labels:
            label = fitted(labels[place], side * POINTS_PER_INCH, SMALL)
            axes.text(left + 0.5, top + ratio + 0.03, label, ha="center", va="top", **words(SMALL, MUTED))
    axes.set_xlim(0, max(columns * (1 + _GAP), width / side))
    axes.set_ylim(rows * step_down, 0)
    axes.set_aspect("equal")
    axes.set_anchor("NW")
    return figure


def _shown(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
