"""How often the network is right when it is so and so sure: the reliability diagram."""

from collections.abc import Mapping, Sequence
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

Record = Mapping[str, Any]
WIDTH_INCHES, HEIGHT_INCHES = 5.6, 6.4
_TICKS = [0, 0.25, 0.5, 0.75, 1]


def plot_reliability(calibration: Record, path: Path, *, title: str) -> None:
    """Write `draw_reliability` as a PNG of 672 × 768 pixels."""
    save_figure(draw_reliability(calibration, title=title), path)


def draw_reliability(calibration: Record, *, title: str) -> Figure:
    """Draw accuracy over confidence with 95 % intervals, and below how many images are in each bin.

    `calibration` is that of `classification_metrics`; what was before the temperature is drawn hollow."""
    figure = new_figure(WIDTH_INCHES, HEIGHT_INCHES)
    heading = fitted(title, (WIDTH_INCHES - 0.5) * POINTS_PER_INCH, LARGE, weight="bold")
    figure.suptitle(heading, x=0.01, ha="left", **words(LARGE, fontweight="bold"))
    top, bottom = figure.subplots(2, 1, height_ratios=[3.4, 1], sharex=True)
    dress(top, grid=True)
    top.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
    top.annotate("as sure as right", (0.13, 0.13), xytext=(6, -6), textcoords="offset points", va="top",
                 **words(SMALL, MUTED))  # fmt: skip
    before = calibration.get("before")
    if before:
        _draw_points(top, before["bins"], VERMILLION, hollow=True)
    _draw_points(top, calibration["bins"], BLUE, hollow=False)
    top.set(xlim=(0, 1), ylim=(0, 1), yticks=_TICKS, yticklabels=[f"{100 * tick:.0f}" for tick in _TICKS])
    top.set_ylabel("accuracy (%)", **words(colour=MUTED))
    top.set_title("\n".join(_findings(calibration)), loc="left", pad=10, **words())
    _draw_counts(bottom, calibration["bins"])
    return figure


def _findings(calibration: Record) -> list[str]:
    """Say how far probabilities and accuracies are apart, and what the temperature changed."""
    if calibration.get("ece") is None:
        return ["No images."]
    low, high = (100 * end for end in calibration["intervals"]["ece"])
    line = f"Calibration error {100 * calibration['ece']:.1f} % ({low:.1f} to {high:.1f} %)"
    before = calibration.get("before")
    if not before:
        return [line, "of the network's own probabilities"]
    return [
        f"{line}: filled",
        f"{100 * before['ece']:.1f} % without the temperature of {calibration['temperature']:.3g}: hollow",
    ]


def _draw_points(axes: Axes, bins: Sequence[Record], colour: str, *, hollow: bool) -> None:
    """Draw a point a bin; only the filled ones have their intervals, so that the two stay apart."""
    places, heights = [each["confidence"] for each in bins], [each["accuracy"] for each in bins]
    if not hollow:
        lows, highs = zip(*(each["accuracy_interval"] for each in bins), strict=True) if bins else ((), ())
        axes.vlines(places, lows, highs, colors=colour, linewidth=1.2)
    face = "none" if hollow else colour
    axes.plot(places, heights, "o" if not hollow else "s", color=colour, markerfacecolor=face, markersize=6,
              linestyle="none", clip_on=False)  # fmt: skip


def _draw_counts(axes: Axes, bins: Sequence[Record]) -> None:
    """Draw how many images are in each bin."""
    dress(axes)
    for each in bins:
        axes.bar(each["low"], each["num_samples"], each["high"] - each["low"], align="edge", color=BLUE, alpha=0.6,
                 edgecolor="white", linewidth=0.8)  # fmt: skip
    axes.set_xlabel("probability of the answer (%)", **words(colour=MUTED))
    axes.set_ylabel("answers", **words(colour=MUTED))
    axes.set_xticks(_TICKS, [f"{100 * tick:.0f}" for tick in _TICKS], **words(SMALL))
    most = max((each["num_samples"] for each in bins), default=1)
    axes.set_yticks([0, most], ["0", f"{most:,}"], **words(SMALL))
