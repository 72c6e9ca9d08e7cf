"""Images beside what speaks for a class on them: Grad-CAM laid over the image."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from PIL import Image

from netwright.report.pictures import Pixels, show_image
from netwright.report.style import (
    INK,
    MUTED,
    NORMAL,
    POINTS_PER_INCH,
    SMALL,
    blank,
    dress,
    fitted,
    new_figure,
    save_figure,
    words,
)

MOST_IMAGES = 12
IMAGE_INCHES, TITLE_INCHES = 1.9, 0.55
GAP_PIXELS = 8
OVERLAY_PIXELS = 224  # smaller images are enlarged to about this, pixel by pixel, so that the map over them is smooth
# Perceptually uniform, and its lightness rises with the value, so that it says the same in gray print.
_COLOURS = colormaps["inferno"]
_STRENGTH = 0.6  # of the colours over the image, which is shown in gray under them


@dataclass(frozen=True, eq=False)
class Explained:
    """One image (H, W, C) uint8 with the map (h, w) in [0, 1] of what speaks for `label`.

    `probability` is that of `label`; `predicted` the likeliest class, and `truth` the label in the data if known."""

    source: str
    pixels: Pixels
    heat: npt.NDArray[np.float32]
    label: str
    probability: float
    predicted: str
    truth: str | None = None


def overlay(pixels: Pixels, heat: npt.NDArray[np.float32]) -> Pixels:
    """Lay a map (h, w) in [0, 1] over an image (H, W, C) uint8 -> (H', W', 3) uint8.

    Bright is what counts; a white line with a black edge is where the map is 0.5, on whatever brightness."""
    gray = np.asarray(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]).convert("L"))
    factor = max(1, round(OVERLAY_PIXELS / max(gray.shape)))
    gray = gray.repeat(factor, axis=0).repeat(factor, axis=1)
    large = Image.fromarray(np.ascontiguousarray(heat, dtype=np.float32)).resize(
        (gray.shape[1], gray.shape[0]), Image.Resampling.BICUBIC
    )
    smooth = np.clip(np.asarray(large), 0, 1)
    colours = _COLOURS(smooth)[..., :3]
    mixed = (1 - _STRENGTH) * gray[..., None] / 255 + _STRENGTH * colours
    inside = smooth >= 0.5
    core = _shrunk(inside)
    mixed[inside & ~core], mixed[core & ~_shrunk(core)] = 0, 1
    pictured: Pixels = (255 * mixed).round().astype(np.uint8)
    return pictured


def _shrunk(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Take one pixel off the border of a region; the picture's own edge is none."""
    padded = np.pad(inside, 1, mode="edge")
    return inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def overlay_png(explained: Explained) -> bytes:
    """Return the overlay as a small PNG, some 224 pixels wide, without words."""
    buffer = io.BytesIO()
    picture = Image.fromarray(overlay(explained.pixels, explained.heat))
    picture.thumbnail((2 * OVERLAY_PIXELS, 2 * OVERLAY_PIXELS))
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def beside(pixels: Pixels, heat: npt.NDArray[np.float32], side_pixels: int = 160) -> Pixels:
    """Return the image and, beside it, the overlay, (h, w, 3) uint8: each about `side_pixels` at its longer side."""
    over = overlay(pixels, heat)
    factor = side_pixels / max(over.shape[:2])
    size = (max(1, round(over.shape[1] * factor)), max(1, round(over.shape[0] * factor)))
    plain = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]).convert("RGB")
    smooth = max(plain.size) > side_pixels  # small images pixel by pixel
    left = plain.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)
    right = Image.fromarray(over).resize(size, Image.Resampling.LANCZOS)
    gap = np.full((size[1], GAP_PIXELS, 3), 255, np.uint8)
    return np.concatenate([np.asarray(left), gap, np.asarray(right)], axis=1)


def plot_grad_cam(explained: Sequence[Explained], path: Path, *, layer: str, calibrated: bool) -> None:
    """Write `draw_grad_cam` as a PNG."""
    save_figure(draw_grad_cam(explained, layer=layer, calibrated=calibrated), path)


def draw_grad_cam(explained: Sequence[Explained], *, layer: str, calibrated: bool) -> Figure:
    """Draw each image beside its overlay, with class and probability above; the first 12, and the figure says so."""
    shown = explained[:MOST_IMAGES]
    columns = 1 if len(shown) <= 1 else 2 if len(shown) <= 6 else 3
    rows = max(1, math.ceil(len(shown) / columns))
    width = max(columns * (2 * IMAGE_INCHES + 0.35), 5.4)
    figure = new_figure(width, rows * (IMAGE_INCHES + TITLE_INCHES) + 0.8)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(w_pad=0.06, h_pad=0.08, wspace=0.02, hspace=0.03)  # type: ignore[call-arg]
    grid = figure.subplots(rows, 2 * columns, squeeze=False)
    for axes in grid.flat:
        blank(axes)
    for place, each in enumerate(shown):
        row, column = divmod(place, columns)
        _pair(grid[row, 2 * column], grid[row, 2 * column + 1], each)
    bar = figure.colorbar(ScalarMappable(cmap=_COLOURS), ax=grid, orientation="horizontal", aspect=90, fraction=0.02)
    dress(bar.ax, spines=())
    bar.outline.set_visible(False)
    bar.set_ticks([])
    left_out = f"The first {len(shown)} of {len(explained)} images. " if len(explained) > len(shown) else ""
    kind = "calibrated" if calibrated else "the network's own, not calibrated"
    lines = (
        f"From nothing to most of what speaks for the class, by image; the line is at half. Grad-CAM at {layer}.",
        f"{left_out}Probabilities are {kind}.",
    )
    note = "\n".join(fitted(line, (width - 0.15) * POINTS_PER_INCH, SMALL) for line in lines)
    figure.supxlabel(note, x=0.07 / width, ha="left", **words(SMALL, MUTED))
    return figure


def _pair(left: Axes, right: Axes, each: Explained) -> None:
    show_image(left, each.pixels)
    show_image(right, overlay(each.pixels, each.heat))
    for axes in (left, right):
        axes.set_anchor("N")
    room = IMAGE_INCHES * POINTS_PER_INCH
    left.set_title(
        fitted(Path(each.source).name, room, SMALL), loc="left", pad=4, **words(SMALL, MUTED, fontweight="normal")
    )
    heading = f"{each.label}: {100 * each.probability:.1f} %"
    title = right.set_title(fitted(heading, room, NORMAL, weight="bold"), loc="left", pad=4, **words(NORMAL, INK))
    title.set_fontweight("bold")
    if each.truth is not None:
        left.set_xlabel(fitted(f"label: {each.truth}", room, SMALL), loc="left", labelpad=3, **words(SMALL, MUTED))
    other = f"predicted: {each.predicted}" if each.predicted != each.label else ""
    note = other if each.heat.any() else "no place speaks for it"
    right.set_xlabel(fitted(note, room, SMALL), loc="left", labelpad=3, **words(SMALL, MUTED))
