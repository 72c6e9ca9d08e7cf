"""A grid of example images with their labels."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from netwright.report.pictures import Pixels, show_image
from netwright.report.style import LARGE, POINTS_PER_INCH, SMALL, blank, fitted, new_figure, save_figure, words

CELL_INCHES = 1.3


def plot_examples(images: Sequence[Pixels], labels: Sequence[str], path: Path, *, title: str, columns: int = 8) -> None:
    """Write `draw_examples` as a PNG."""
    save_figure(draw_examples(images, labels, title=title, columns=columns), path)


def draw_examples(images: Sequence[Pixels], labels: Sequence[str], *, title: str, columns: int = 8) -> Figure:
    """Draw images (H, W, C) uint8 in rows of `columns`, each with its label under it."""
    assert len(images) == len(labels)
    columns = max(1, min(columns, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    # At least as wide as a title of some words, also for a single image.
    width, height = max(columns * CELL_INCHES, 4.0), rows * (CELL_INCHES + 0.25) + 0.45
    figure = new_figure(width, height)
    heading = fitted(title, (width - 0.3) * POINTS_PER_INCH, LARGE, weight="bold")
    figure.suptitle(heading, x=0.1 / width, ha="left", **words(LARGE, fontweight="bold"))
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        blank(axes)
        if place < len(images):
            show_image(axes, images[place])
            label = fitted(labels[place], (CELL_INCHES - 0.1) * POINTS_PER_INCH, SMALL)
            axes.set_xlabel(label, labelpad=3, **words(SMALL))
    return figure
