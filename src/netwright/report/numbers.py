"""A regression's answers as pictures: what was said against what is true, and how large the errors are."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from netwright.report.style import (
    BLUE,
    LARGE,
    MUTED,
    POINTS_PER_INCH,
    VERMILLION,
    dress,
    fitted,
    new_figure,
    save_figure,
    words,
)

Numbers = npt.NDArray[Any]
WIDTH_INCHES, HEIGHT_INCHES = 10.0, 4.6
MOST_POINTS = 5000  # evenly chosen: more of them hide each other
BINS = 40


def plot_numbers(predictions: Numbers, targets: Numbers, path: Path, *, title: str) -> None:
    """Write `draw_numbers` as a PNG."""
    save_figure(draw_numbers(predictions, targets, title=title), path)


def draw_numbers(predictions: Numbers, targets: Numbers, *, title: str) -> Figure:
    """Draw predictions (N,) against targets (N,) (left) and the errors' histogram (right)."""
    said, truth = np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    figure = new_figure(WIDTH_INCHES, HEIGHT_INCHES)
    heading = fitted(title, (WIDTH_INCHES - 0.5) * POINTS_PER_INCH, LARGE, weight="bold")
    figure.suptitle(heading, x=0.01, ha="left", **words(LARGE, fontweight="bold"))
    left, right = figure.subplots(1, 2)
    _scatter(left, said, truth)
    _histogram(right, said - truth)
    return figure


def _scatter(axes: Axes, said: Numbers, truth: Numbers) -> None:
    dress(axes, grid=True)
    places = np.unique(np.linspace(0, len(truth) - 1, min(MOST_POINTS, len(truth))).astype(np.int64))
    size = float(np.clip(2000 / max(1, len(places)), 3, 20))
    axes.scatter(truth[places], said[places], s=size, color=BLUE, alpha=0.35, linewidths=0, rasterized=True)
    ends = [float(min(said.min(), truth.min())), float(max(said.max(), truth.max()))]
    axes.plot(ends, ends, color=VERMILLION, linewidth=1.2)
    axes.set_xlabel("target", **words(colour=MUTED))
    axes.set_ylabel("predicted", **words(colour=MUTED))
    near = "Each point a sample; on the line the two are equal"
    axes.set_title(near, loc="left", pad=10, **words())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6))


def _histogram(axes: Axes, errors: Numbers) -> None:
    dress(axes, grid=True)
    axes.hist(errors, bins=BINS, color=BLUE)
    axes.axvline(0, color=VERMILLION, linewidth=1.2)
    half = float(np.median(np.abs(errors)))
    axes.set_xlabel("predicted - target", **words(colour=MUTED))
    axes.set_ylabel("samples", **words(colour=MUTED))
    axes.set_title(f"Half of the errors are smaller than {half:.3g}", loc="left", pad=10, **words())
    axes.xaxis.set_major_locator(MaxNLocator(6))
