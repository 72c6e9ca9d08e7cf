"""Loss and accuracy over the epochs of a run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from netwright.report.style import (
    BLUE,
    LARGE,
    MUTED,
    NORMAL,
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
WIDTH_INCHES, HEIGHT_INCHES = 10.0, 4.2

# Line style tells the two apart in gray print, where blue and vermillion are nearly the same.
_LINES: dict[str, dict[str, Any]] = {
    "train": {"color": BLUE, "linestyle": "--"},
    "val": {"color": VERMILLION, "linestyle": "-"},
}
_RING: dict[str, Any] = {"marker": "o", "markersize": 9, "fillstyle": "none", "markeredgewidth": 1.5, "clip_on": False}


class _Series(NamedTuple):
    split: str
    epochs: list[float]
    values: list[float]


def plot_curves(history: Sequence[Record], path: Path, *, best_epoch: int | None, title: str) -> None:
    """Write `draw_curves` as a PNG of 1200 × 504 pixels."""
    save_figure(draw_curves(history, best_epoch=best_epoch, title=title), path)


def draw_curves(history: Sequence[Record], *, best_epoch: int | None, title: str) -> Figure:
    """Draw loss (left) and accuracy, or another number of the task (right); `history` has one record an epoch.

    What was not recorded, or is not finite, is left out; the best epoch is marked where there is one.
    """
    figure = new_figure(WIDTH_INCHES, HEIGHT_INCHES)
    heading = fitted(title, (WIDTH_INCHES - 0.5) * POINTS_PER_INCH, LARGE, weight="bold")
    figure.suptitle(heading, x=0.01, ha="left", **words(LARGE, fontweight="bold"))
    left, right = figure.subplots(1, 2)
    _panel(left, history, "loss", best_epoch, scale=1)
    metric = _decisive(history)
    _panel(right, history, metric, best_epoch, scale=100 if metric == "accuracy" else 1)
    return figure


def _decisive(history: Sequence[Record]) -> str:
    """Return the number that is drawn beside the loss."""
    known = ("mean_dice", "accuracy", "rmse")  # the first one that a task records
    return next((name for name in known if history and f"train_{name}" in history[0]), "accuracy")


def _panel(axes: Axes, history: Sequence[Record], metric: str, best_epoch: int | None, scale: float) -> None:
    """Draw one metric, titled by what is seen."""
    dress(axes, grid=True)
    name = metric.replace("_", " ")
    unit = {"accuracy": "%", "loss": "mean", "mean_dice": "0 to 1"}.get(metric, "unit of the targets")
    axes.set_xlabel("epoch", **words(colour=MUTED))
    axes.set_ylabel(f"{name} ({unit})", **words(colour=MUTED))
    axes.set_title(_finding(history, metric, best_epoch), loc="left", pad=16, **words())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    series = [_series(history, split, metric, scale) for split in _LINES]
    series = [one for one in series if one.epochs]
    if not series:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "not recorded", ha="center", transform=axes.transAxes, **words(colour=MUTED))
        return
    longest = max(len(one.epochs) for one in series)
    for one in series:
        marker = "o" if longest <= 20 else ""
        axes.plot(one.epochs, one.values, lw=2, marker=marker, markersize=4, clip_on=False, **_LINES[one.split])
    _set_limits(axes, series, metric)
    if best_epoch is not None:
        _mark_best(axes, series, best_epoch)
    _label_ends(axes, series, metric)


def _finding(history: Sequence[Record], metric: str, best_epoch: int | None) -> str:
    """Say in a few words what the panel shows: the number of the best epoch, else of the last."""
    split = "val" if any(_number(record, f"val_{metric}") is not None for record in history) else "train"
    chosen = [record for record in history if record.get("epoch") == best_epoch]
    which = "best" if chosen else "last"
    known = [record for record in chosen or history if _number(record, f"{split}_{metric}") is not None]
    if not known:
        return metric.capitalize()
    value = _number(known[-1], f"{split}_{metric}") or 0.0
    return f"{metric.capitalize()}: {split} {_written(value, metric)} after epoch {known[-1]['epoch']}, the {which}"


def _written(value: float, metric: str) -> str:
    """Write a loss or an accuracy (a fraction) as people read it."""
    if metric == "accuracy":
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if 0.01 <= abs(value) < 100 or value == 0 else f"{value:.2g}"


def _number(record: Record, key: str) -> float | None:
    """Return a recorded number, or None where it is missing or not finite."""
    value = record.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _series(history: Sequence[Record], split: str, metric: str, scale: float) -> _Series:
    """Collect the points of one line."""
    points = [(float(r["epoch"]), _number(r, f"{split}_{metric}")) for r in history]
    known = [(epoch, scale * value) for epoch, value in points if value is not None]
    return _Series(split, [epoch for epoch, _ in known], [value for _, value in known])


def _set_limits(axes: Axes, series: list[_Series], metric: str) -> None:
    """Let the lines end at the right edge, where their names stand; one epoch stands in the middle."""
    first, last = min(one.epochs[0] for one in series), max(one.epochs[-1] for one in series)
    room = 0.5 if first == last else min(0.4, 0.02 * (last - first))  # under 1: there is no epoch 0
    axes.set_xlim(first - room, last + room)
    values = [value for one in series for value in one.values]
    low, high = min(values), max(values)
    margin = 0.08 * (high - low)
    if first == last or not margin:
        margin = max(margin, 0.1 * abs(high), 0.01)  # two points would look far apart however near they are
    bottom = max(low - margin, 0.0) if low >= 0 else low - margin
    # Nothing is above 100 %, so no tick is; the line itself is drawn over the edge (clip_on=False).
    axes.set_ylim(bottom, min(high + margin, 100.0) if metric == "accuracy" else high + margin)


def _mark_best(axes: Axes, series: list[_Series], best_epoch: int) -> None:
    """Draw a line down at the best epoch and ring its points."""
    if not any(best_epoch in one.epochs for one in series):
        return
    axes.axvline(best_epoch, color=MUTED, linewidth=1, linestyle=":")
    for one in series:
        if best_epoch in one.epochs:
            value = one.values[one.epochs.index(best_epoch)]
            axes.plot([best_epoch], [value], color=_LINES[one.split]["color"], **_RING)
    start, end = axes.get_xlim()
    place = (best_epoch - start) / (end - start)
    side = "left" if place < 0.1 else "right" if place > 0.9 else "center"
    axes.annotate(
        "best", (best_epoch, 1), xytext=(0, 2), textcoords="offset points", ha=side, va="bottom",
        xycoords=axes.get_xaxis_transform(), **words(SMALL, MUTED),
    )  # fmt: skip


def _label_ends(axes: Axes, series: list[_Series], metric: str) -> None:
    """Write each line's name and last value beside its end, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    gap = 0.075  # of the height: one line of bold text with air
    ends = sorted(series, key=lambda one: one.values[-1])
    wanted = [(one.values[-1] - low) / (high - low) for one in ends]
    if len(wanted) == 2 and wanted[1] - wanted[0] < gap:
        centre = min(max(sum(wanted) / 2, gap / 2), 1 - gap / 2)
        wanted = [centre - gap / 2, centre + gap / 2]
    scale = 100 if metric == "accuracy" else 1
    for one, height in zip(ends, wanted, strict=True):
        colour = str(_LINES[one.split]["color"])
        axes.annotate(
            f"{one.split} {_written(one.values[-1] / scale, metric)}", (one.epochs[-1], height), xytext=(8, 0),
            xycoords=axes.get_xaxis_transform(), textcoords="offset points", va="center", annotation_clip=False,
            **words(NORMAL, colour, fontweight="bold"),
        )  # fmt: skip
