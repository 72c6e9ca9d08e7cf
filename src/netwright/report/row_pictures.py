"""Which columns a network for rows goes by, as pictures: permutation importance and partial dependence."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from netwright.report.style import BLUE, FAINT, INK, MUTED, SMALL, VERMILLION, dress, fitted, new_figure, words

Floats = npt.NDArray[np.float64]
MOST_COLUMNS = 15
_NAME_POINTS = 130.0


def draw_importance(names: Sequence[str], rises: Floats, *, unit: str) -> Figure:
    """Draw a bar a column, the longest first: how much the error rises, the mean of its shuffles, and their spread.

    `rises` (columns, shuffles) are in `unit`."""
    means = rises.mean(axis=1)
    order = np.argsort(-means)[:MOST_COLUMNS][::-1]
    figure = new_figure(7.0, 0.9 + 0.32 * len(order))
    axes = figure.subplots()
    dress(axes)
    axes.grid(True, axis="x", color=FAINT, linewidth=0.8, linestyle="-")
    places = np.arange(len(order))
    axes.barh(places, means[order], color=BLUE, height=0.7, xerr=rises[order].std(axis=1), ecolor=INK)
    axes.set_yticks(places, [fitted(names[place], _NAME_POINTS, SMALL) for place in order], **words(SMALL))
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_xlabel(f"how much the {unit} rises when the column is shuffled", **words(colour=MUTED))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return figure


def draw_dependence(panels: Sequence[dict[str, Any]], *, says: str) -> Figure:
    """Draw a panel a column: its `name` and `kind`, the `values` it is set to (numbers, dates as days since 1970, or
    words) and the network's mean answer for each, `answers`."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(4.6 * columns, 2.9 * rows)
    # one scale for all: a column that hardly matters has to look like it
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(grid.ravel()):
        if place < len(panels):
            _dependence(axes, panels[place], says if place % columns == 0 else "")
        else:
            axes.set_visible(False)
    return figure


def _dependence(axes: Axes, panel: dict[str, Any], says: str) -> None:
    dress(axes, grid=True)
    values, answers = panel["values"], panel["answers"]
    if isinstance(values[0], str):
        places = np.arange(len(values))
        axes.plot(places, answers, "o", color=VERMILLION)
        axes.set_xticks(places, [fitted(value or "(none)", 60.0, SMALL) for value in values], **words(SMALL))
        axes.tick_params(axis="x", rotation=30)
    else:
        axes.plot(values, answers, color=VERMILLION)
        if panel.get("kind") == "date":  # days since 1970, as matplotlib counts too
            days = AutoDateLocator(minticks=3, maxticks=5)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(days)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(days))  # type: ignore[no-untyped-call]
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(fitted(panel["name"], 200.0), **words(colour=MUTED))
    axes.set_ylabel(says, **words(SMALL, MUTED))
    axes.yaxis.set_major_locator(MaxNLocator(5))
