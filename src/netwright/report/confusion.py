"""Which classes are taken for which: the confusion matrix."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from netwright.report.style import (
    INK,
    LARGE,
    MUTED,
    NORMAL,
    PAPER,
    POINTS_PER_INCH,
    SMALL,
    dress,
    fitted,
    new_figure,
    save_figure,
    words,
)

MOST_WITH_NUMBERS = 20
_NAME_POINTS = 110.0  # the longest class name, about 20 letters
_NOTHING = "#EEEEEE"  # rows of classes without images


def plot_confusion(matrix: Sequence[Sequence[int]], class_names: Sequence[str], path: Path, *, title: str) -> None:
    """Write `draw_confusion` as a PNG."""
    save_figure(draw_confusion(matrix, class_names, title=title), path)


def draw_confusion(matrix: Sequence[Sequence[int]], class_names: Sequence[str], *, title: str) -> Figure:
    """Draw counts (K, K), rows true classes, columns predicted ones; the colour is the share of the row.

    Up to 20 classes have their counts written; with very many only every second, third, … class is named.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    num_classes = len(class_names)
    assert counts.shape == (num_classes, num_classes)
    side = _side_inches(num_classes)
    width, height = side + 3.2, side + 2.7
    figure = new_figure(width, height)
    heading = fitted(title, (width - 0.5) * POINTS_PER_INCH, LARGE, weight="bold")
    figure.suptitle(heading, x=0.01, ha="left", **words(LARGE, fontweight="bold"))
    finding = "\n".join(_findings(counts, class_names, name_points=(width - 3.5) / 2 * POINTS_PER_INCH))
    figure.supxlabel(finding, x=0.01, ha="left", **words(colour=INK))
    axes = figure.subplots()
    dress(axes, spines=())
    image = _cells(axes, counts)
    _name_classes(axes, class_names, side)
    if num_classes <= MOST_WITH_NUMBERS:
        _write_counts(axes, counts, side / num_classes)
    _explain_colour(figure, axes, image)
    return figure


def _side_inches(num_classes: int) -> float:
    """Return the side of the matrix: 0.55 inches a class as long as that is neither tiny nor more than a page."""
    return min(max(0.55 * num_classes, 3.0), 11.0 if num_classes <= 100 else 13.0)


def _findings(counts: npt.NDArray[np.int64], class_names: Sequence[str], name_points: float) -> list[str]:
    """Say how many are right and which two classes are mixed up most."""
    total, right = int(counts.sum()), int(np.trace(counts))
    if not total:
        return ["No images."]
    lines = [f"{right:,} of {total:,} right ({100 * right / total:.1f} %)."]
    wrong = counts - np.diag(np.diag(counts))
    if wrong.any():
        row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
        names = [fitted(class_names[int(number)], name_points) for number in (row, column)]
        often = "once" if wrong[row, column] == 1 else f"{wrong[row, column]:,} times"
        lines.append(f"Most often mixed up: {names[0]} taken for {names[1]}, {often}.")
    return lines


def _cells(axes: Axes, counts: npt.NDArray[np.int64]) -> AxesImage:
    """Colour the cells by the share of their row; the square root scale shows an error of 1 %."""
    sums = counts.sum(axis=1, keepdims=True)
    shares = np.ma.masked_array(counts / np.maximum(sums, 1), mask=np.broadcast_to(sums == 0, counts.shape))
    colours = mpl.colormaps["Blues"].with_extremes(bad=_NOTHING)
    image = axes.imshow(shares, cmap=colours, norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="nearest")
    edges = np.arange(len(counts) + 1) - 0.5
    if len(counts) <= MOST_WITH_NUMBERS:
        axes.hlines(edges, -0.5, len(counts) - 0.5, colors=_NOTHING, linewidths=0.8)
        axes.vlines(edges, -0.5, len(counts) - 0.5, colors=_NOTHING, linewidths=0.8)
    return image


def _name_classes(axes: Axes, class_names: Sequence[str], side_inches: float) -> None:
    """Write the class names, as many as there is room for."""
    num_classes = len(class_names)
    cell_points = side_inches * POINTS_PER_INCH / num_classes
    size = NORMAL if num_classes <= MOST_WITH_NUMBERS else 7.0
    places = range(0, num_classes, math.ceil(1.1 * size / cell_points))
    names = [fitted(class_names[place], _NAME_POINTS, size) for place in places]
    upright = all(fitted(name, cell_points * 0.95, size) == name for name in names)
    turn: dict[str, Any] = {} if upright else {"rotation": 90, "va": "top", "ha": "center"}
    axes.set_xticks(list(places), names, **words(size), **turn)
    axes.set_yticks(list(places), names, **words(size))
    axes.set_xlabel("predicted class", labelpad=8, **words(colour=MUTED))
    axes.set_ylabel("true class", labelpad=8, **words(colour=MUTED))


def _write_counts(axes: Axes, counts: npt.NDArray[np.int64], cell_inches: float) -> None:
    """Write each count into its cell, small enough for the longest one."""
    digits = len(str(counts.max()))
    size = min(NORMAL, 0.85 * cell_inches * POINTS_PER_INCH / (0.64 * digits))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for (row, column), count in np.ndenumerate(counts):
        # The scale's middle blue, from which white is the more legible, is at a share of about 0.4.
        colour = PAPER if shares[row, column] > 0.4 else INK if count else "#767676"
        weight = "bold" if row == column else "normal"
        axes.text(column, row, str(count), ha="center", va="center", **words(size, colour, fontweight=weight))


def _explain_colour(figure: Figure, axes: Axes, image: AxesImage) -> None:
    """Draw the colour scale, with round shares."""
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1])
    dress(bar.ax, spines=())
    bar.ax.tick_params(right=True, left=False, labelright=True, labelleft=False, labelsize=SMALL)
    bar.ax.set_yticklabels(["0", "1", "5", "20", "50", "100"], **words(SMALL))
    bar.outline.set_visible(False)
    bar.set_label("share of the true class (%)", **words(SMALL, MUTED))
