"""Accuracy over how far the image was moved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from netwright.report.style import (
    BLUE,
    LARGE,
    MUTED,
    POINTS_PER_INCH,
    SMALL,
    dress,
    fitted,
    new_figure,
    save_figure,
    words,
)

WIDTH_INCHES, HEIGHT_INCHES = 5.6, 4.2


def plot_shifts(found: Mapping[str, Any], path: Path, *, title: str) -> None:
    """Write `draw_shifts` as a PNG of 672 × 504 pixels."""
    save_figure(draw_shifts(found, title=title), path)


def draw_shifts(found: Mapping[str, Any], *, title: str) -> Figure:
    """Draw what `accuracy_under_shifts` gives, with its intervals as a band."""
    figure = new_figure(WIDTH_INCHES, HEIGHT_INCHES)
    heading = fitted(title, (WIDTH_INCHES - 0.5) * POINTS_PER_INCH, LARGE, weight="bold")
    figure.suptitle(heading, x=0.01, ha="left", **words(LARGE, fontweight="bold"))
    axes = figure.subplots()
    dress(axes, grid=True)
    rows = found["shifts"]
    pixels, values = [row["pixels"] for row in rows], [100 * row["accuracy"] for row in rows]
    lows, highs = zip(*([100 * end for end in row["interval"]] for row in rows), strict=True)
    axes.fill_between(pixels, lows, highs, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(pixels, values, "o-", color=BLUE, linewidth=2, markersize=5, clip_on=False)
    for place, value in zip(pixels, values, strict=True):
        axes.annotate(f"{value:.1f}", (place, value), xytext=(6, 5), textcoords="offset points", **words(SMALL))
    room = max(0.12 * (max(highs) - min(lows)), 0.5)
    axes.set_ylim(max(min(lows) - room, 0), max(highs) + room)
    axes.set_xlim(-0.25, max(pixels) + 0.4)
    axes.set_xticks(pixels, [str(place) for place in pixels], **words())
    axes.set_xlabel("moved by (pixels; mean of left, right, up, down; band: 95 % interval)", **words(colour=MUTED))
    axes.set_ylabel("accuracy (%)", **words(colour=MUTED))
    low, high = (100 * end for end in found["lost_interval"])
    told = f"Moving the image costs up to {100 * found['lost']:.1f} points ({low:.1f} to {high:.1f})"
    axes.set_title(told, loc="left", pad=10, **words())
    return figure
