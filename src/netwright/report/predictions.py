"""Images beside the probabilities of their classes."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netwright.report.pictures import Pixels, show_image
from netwright.report.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    NORMAL,
    POINTS_PER_INCH,
    SMALL,
    blank,
    fitted,
    new_figure,
    plain,
    save_figure,
    words,
)

Prediction = Mapping[str, Any]
MOST_IMAGES = 12
IMAGE_INCHES, BARS_INCHES, ROW_INCHES = 1.9, 2.3, 2.2
_OTHERS = "#7FB8D8"  # BLUE, lighter, 2 : 1 against white: the name and the number beside it carry the meaning


def plot_predictions(
    images: Sequence[Pixels | None], predictions: Sequence[Prediction], path: Path, *, top: int = 5
) -> None:
    """Write `draw_predictions` as a PNG."""
    save_figure(draw_predictions(images, predictions, top=top), path)


def draw_predictions(images: Sequence[Pixels | None], predictions: Sequence[Prediction], *, top: int = 5) -> Figure:
    """Draw each image (H, W, C) uint8 beside its `top` classes, most probable first.

    A prediction is what `predict --json` gives: `source`, `label`, `probability`, `probabilities`; or `source` and
    `error`, with None for its image. Only the first 12 are drawn, and the figure says so.
    """
    assert len(images) == len(predictions)
    shown = min(len(predictions), MOST_IMAGES)
    columns = 1 if shown <= 1 else 2 if shown <= 6 else 3
    rows = max(1, math.ceil(shown / columns))
    width, height = columns * (IMAGE_INCHES + BARS_INCHES + 0.35), rows * (ROW_INCHES + 0.3)
    more = len(predictions) - shown
    figure = new_figure(width, height + (0.3 if more else 0))
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(w_pad=0.08, h_pad=0.08, wspace=0.02, hspace=0.04)  # type: ignore[call-arg]
    if more:
        figure.supxlabel(f"The first {shown} of {len(predictions)} images.", x=0.02, ha="left", **words(SMALL, MUTED))
    grid = figure.subplots(rows, 2 * columns, squeeze=False, width_ratios=[IMAGE_INCHES, BARS_INCHES] * columns)
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        left, right = grid[row, 2 * column], grid[row, 2 * column + 1]
        blank(left)
        blank(right)
        if place < shown:
            _pair(left, right, images[place], predictions[place], top)
    return figure


def _pair(left: Axes, right: Axes, image: Pixels | None, prediction: Prediction, top: int) -> None:
    """Draw one image and what was predicted for it."""
    name = fitted(Path(str(prediction.get("source", ""))).name, IMAGE_INCHES * POINTS_PER_INCH, SMALL)
    if image is not None:
        show_image(left, image)
        left.set_anchor("N")  # its top beside the first bar, whatever its shape
    else:
        left.set_facecolor(FAINT)
        left.text(0.5, 0.5, "no picture", ha="center", va="center", transform=left.transAxes, **words(SMALL, MUTED))
    left.set_xlabel(name, labelpad=3, **words(SMALL, MUTED))
    if "error" in prediction:
        _explain(right, prediction["error"])
    else:
        _bars(right, prediction, top)


def _explain(axes: Axes, error: object) -> None:
    """Write why there is no prediction."""
    reason = ": ".join(str(part) for part in error.values()) if isinstance(error, Mapping) else str(error)
    lines = textwrap.wrap(plain(f"Not predicted: {reason}"), 30, max_lines=8, placeholder=" …")
    axes.text(0, 0.95, "\n".join(lines), va="top", transform=axes.transAxes, **words(SMALL))


def _bars(axes: Axes, prediction: Prediction, top: int) -> None:
    """Draw a bar a class, with its name above it and its probability in % at the right."""
    given: Mapping[str, float] = prediction.get("probabilities") or {prediction["label"]: prediction["probability"]}
    ranked = sorted(given.items(), key=lambda item: -item[1])[: max(top, 1)]
    num_rows = max(len(ranked), 5)  # bars of two classes are as thick as those of five
    axes.set_xlim(0, 1)
    axes.set_ylim(num_rows - 0.05, -0.35)
    for row, (label, probability) in enumerate(ranked):
        chosen = label == prediction.get("label")
        text = words(NORMAL if num_rows <= 6 else SMALL, INK, fontweight="bold" if chosen else "normal", va="bottom")
        name = fitted(label, 0.72 * BARS_INCHES * POINTS_PER_INCH, text["fontsize"], weight=text["fontweight"])
        axes.text(0, row + 0.42, name, ha="left", **text)
        axes.text(1, row + 0.42, _percent(probability), ha="right", **text)
        axes.barh(row + 0.56, 1, height=0.2, color=FAINT)
        axes.barh(row + 0.56, probability, height=0.2, color=BLUE if chosen else _OTHERS)


def _percent(probability: float) -> str:
    """Write a probability in %; what is neither 0 nor 1 does not look like it."""
    if 0 < probability < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= probability < 1:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %"
