"""The loss over the learning rates of a range test."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netwright.report.style import (
    BLUE,
    LARGE,
    MUTED,
    POINTS_PER_INCH,
    SMALL,
    VERMILLION,
    dress,
    fitted,
    new_figure,
    save_figure,
    words,
)

WIDTH_INCHES, HEIGHT_INCHES = 7.5, 4.2


def plot_lr_range(found: Mapping[str, Any], path: Path, *, title: str) -> None:
    """Write `draw_lr_range` as a PNG of 900 × 504 pixels."""
    save_figure(draw_lr_range(found, title=title), path)


def draw_lr_range(found: Mapping[str, Any], *, title: str) -> Figure:
    """Draw each step's loss (thin) and their smoothed course over the lr; the suggestion and the recipe's lr marked.

    `found` is what `netwright lr-find --json` prints. Losses far above the first one are cut off by the frame."""
    figure = new_figure(WIDTH_INCHES, HEIGHT_INCHES)
    heading = fitted(title, (WIDTH_INCHES - 0.3) * POINTS_PER_INCH, LARGE, weight="bold")
    figure.suptitle(heading, x=0.01, ha="left", **words(LARGE, fontweight="bold"))
    axes = figure.subplots()
    dress(axes, grid=True)
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xlabel("learning rate, growing from step to step", **words(colour=MUTED))
    axes.set_ylabel("loss (mean over a batch)", **words(colour=MUTED))
    lrs, smoothed = found["lrs"], found["smoothed"]
    losses = [loss if loss is not None and math.isfinite(loss) else math.nan for loss in found["losses"]]
    axes.plot(lrs, losses, color=MUTED, linewidth=0.8, alpha=0.6)
    axes.plot(lrs, smoothed, color=BLUE, linewidth=2.2)
    low, high = min(smoothed), max(smoothed[:10])
    room = 0.12 * (high - low) or 0.1
    axes.set_ylim(low - room, high + 2 * room)
    axes.text(
        0.01, 0.04, "thin: each step\nthick: smoothed over its neighbours", transform=axes.transAxes,
        **words(SMALL, MUTED),
    )  # fmt: skip
    _mark(axes, found)
    return figure


def _mark(axes: Axes, found: Mapping[str, Any]) -> None:
    """Mark the suggestion, with a ring where it stands on the curve, and the lr that the recipe has."""
    lrs, smoothed, suggestion = found["lrs"], found["smoothed"], found["suggestion"]
    place = min(range(len(lrs)), key=lambda step: abs(math.log(lrs[step] / suggestion)))
    axes.axvline(suggestion, color=VERMILLION, linewidth=1.2)
    axes.plot([lrs[place]], [smoothed[place]], marker="o", markersize=9, fillstyle="none", color=VERMILLION)
    axes.annotate(
        f"suggested {suggestion:g}:\nthe loss falls fastest", (suggestion, 0.97), xytext=(6, 0), va="top",
        xycoords=axes.get_xaxis_transform(), textcoords="offset points", **words(SMALL, VERMILLION, fontweight="bold"),
    )  # fmt: skip
    now = found.get("lr")
    if now is None or not lrs[0] <= now <= lrs[-1] or now == suggestion:
        return
    axes.axvline(now, color=MUTED, linewidth=1, linestyle=":")
    axes.annotate(
        f"the recipe's {now:g}", (now, 1), xytext=(0, 3), ha="center", xycoords=axes.get_xaxis_transform(),
        textcoords="offset points", **words(SMALL, MUTED),
    )  # fmt: skip
