"""Charts of the HTML report: inline SVG whose colours are the page's, so that they follow dark, light and print.

Line styles and marks, not colours alone, tell lines apart. Every chart stands above a table of its numbers."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from netwright.report.wording import is_number

WIDTH, HEIGHT = 360, 240  # about a phone's width, so that letters keep their size there
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 40, 14, 40


@dataclass(frozen=True)
class Line:
    """One line of a chart; `kind` (train or val) decides colour and style, the name stands at its end."""

    kind: str
    places: list[float]
    values: list[float]


@dataclass(frozen=True)
class _Frame:
    """Where numbers lie in the picture."""

    x0: float
    x1: float
    y0: float
    y1: float
    width: float = WIDTH
    height: float = HEIGHT

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x0) / ((self.x1 - self.x0) or 1) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _TOP + (self.y1 - value) / ((self.y1 - self.y0) or 1) * (self.height - _TOP - _BOTTOM)


def series(history: Sequence[dict[str, Any]], metric: str, *, scale: float = 1.0) -> list[Line]:
    """Return the lines of train and val of one metric (loss, accuracy), over the epochs that recorded it."""
    lines = []
    for split in ("train", "val"):
        key = f"{split}_{metric}"
        found = [record for record in history if is_number(record.get(key))]
        if found:
            lines.append(Line(split, [record["epoch"] for record in found], [scale * record[key] for record in found]))
    return lines


def line_chart(
    lines: Sequence[Line], *, about: str, unit: str, best: float | None = None, apart: float | None = None
) -> Markup:
    """Draw lines over the epochs; `best` marks one epoch, from `apart` on the ground is tinted.

    `about` is read out in place of the picture."""
    values = [value for line in lines for value in line.values]
    places = [place for line in lines for place in line.places]
    if not values:
        return Markup()
    marks = ticks(min(values), max(values))
    frame = _Frame(min(places), max(places), min(marks[0], min(values)), max(marks[-1], max(values)))
    parts = [_ground(frame, apart)] if apart is not None else []
    parts += _grid(frame, marks, unit)
    epochs = [mark for mark in ticks(frame.x0, frame.x1) if mark == int(mark) and frame.x0 <= mark <= frame.x1]
    parts += [_text(frame.x(mark), HEIGHT - 22, f"{mark:g}", "middle") for mark in epochs or [frame.x0]]
    parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 5, "epoch", "middle", "soft"))
    if best is not None:
        at = frame.x(best)
        parts.append(f'<line class="best" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
    ends = _apart([frame.y(line.values[-1]) for line in lines])
    for line, end in zip(lines, ends, strict=True):
        points = [
            f"{frame.x(place):.1f},{frame.y(value):.1f}"
            for place, value in _thinned(list(zip(line.places, line.values, strict=True)))
        ]
        parts.append(f'<polyline class="line {line.kind}" points="{" ".join(points)}"/>')
        if len(line.values) == 1:
            x, y = points[0].split(",")
            parts.append(f'<circle class="dot {line.kind}" cx="{x}" cy="{y}" r="3.5"/>')
        parts.append(_text(WIDTH - _RIGHT + 6, end + 4, line.kind, "start", f"name {line.kind}"))
    return _svg(parts, WIDTH, HEIGHT, about)


def reliability_chart(bins: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]] | None, *, about: str) -> Markup:
    """Draw accuracy over probability, a filled dot a bin with its 95 % interval; hollow squares are `before`."""
    frame = _Frame(0, 1, 0, 1, WIDTH, 340)
    marks = [0, 0.25, 0.5, 0.75, 1]
    parts = _grid(frame, marks, "%", scale=100)
    parts.append(_text(_LEFT + 6, _TOP + 14, "right answers", "start", "soft"))
    parts += [_text(frame.x(mark), 340 - 22, f"{100 * mark:g}", "middle") for mark in marks]
    parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, 340 - 5, "probability of the answer (%)", "middle", "soft"))
    parts.append(f'<line class="even" x1="{frame.x(0)}" y1="{frame.y(0)}" x2="{frame.x(1)}" y2="{frame.y(1)}"/>')
    for each in before or ():
        x, y = frame.x(each["confidence"]), frame.y(each["accuracy"])
        parts.append(f'<rect class="hollow" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>')
    for each in bins:
        x, (low, high) = frame.x(each["confidence"]), each["accuracy_interval"]
        parts.append(
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y(low):.1f}" y2="{frame.y(high):.1f}"/>'
        )
        parts.append(f'<circle class="dot train" cx="{x:.1f}" cy="{frame.y(each["accuracy"]):.1f}" r="4"/>')
    return _svg(parts, WIDTH, 340, about)


def scatter_chart(points: Sequence[tuple[float, float]], *, about: str) -> Markup:
    """Draw points (target, said) on equal scales, with the line on which the two are equal."""
    if not points:
        return Markup()
    every = [value for point in points for value in point]
    marks = ticks(min(every), max(every))
    height = WIDTH
    frame = _Frame(marks[0], marks[-1], marks[0], marks[-1], WIDTH, height)
    parts = []
    for mark in marks:
        at = f"{frame.y(mark):.1f}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(_text(_LEFT - 6, frame.y(mark) + 4, _brief(mark), "end"))
        parts.append(_text(frame.x(mark), height - 22, _brief(mark), "middle"))
    parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, height - 5, "target", "middle", "soft"))
    parts += [
        f'<circle class="dot train" fill-opacity="0.45" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="2.2"/>'
        for x, y in points
    ]
    low, high = marks[0], marks[-1]
    x1, x2, y1, y2 = frame.x(low), frame.x(high), frame.y(low), frame.y(high)
    parts.append(f'<line class="even" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>')
    return _svg(parts, WIDTH, height, about)


def _brief(value: float) -> str:
    """Write a number of an axis in few letters: 250000 -> 250k, 1200000 -> 1.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def interval_chart(rows: Sequence[tuple[str, float, Sequence[float]]], *, about: str) -> Markup:
    """Draw one line a row on a scale from 0 to 100 %: (name, fraction, its interval)."""
    step, left, right = 40, 10, WIDTH - 14
    height = step * len(rows) + 26

    def x(fraction: float) -> float:
        return left + fraction * (right - left)

    parts = []
    for mark in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<line class="grid" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="4" y2="{height - 22}"/>')
        parts.append(_text(x(mark), height - 7, f"{100 * mark:g}" + (" %" if mark == 1 else ""), "middle"))
    for place, (name, fraction, (low, high)) in enumerate(rows):
        y = step * place + 28
        kind = "val" if name.startswith("this network") else "train"
        parts.append(_text(left, y - 10, name, "start"))
        parts.append(f'<line class="whisker {kind}" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot {kind}" cx="{x(fraction):.1f}" cy="{y}" r="4.5"/>')
    return _svg(parts, WIDTH, height, about)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers, 1, 2, 2.5 or 5 times a power of ten apart, from at or below `low` to at or above `high`."""
    spread = high - low
    if spread <= 0:
        spread = abs(high) or 1.0
        low, high = low - spread / 2, high + spread / 2
    rough = spread / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * round_one for round_one in (1, 2, 2.5, 5, 10) if power * round_one >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, last + 1)]


def _thinned(points: list[tuple[float, float]], most: int = 500) -> list[tuple[float, float]]:
    """Keep every second, third, … point of a long line, and the last: more than 500 can't be seen."""
    every = math.ceil(len(points) / most)
    return points[::every] + ([points[-1]] if (len(points) - 1) % every else [])


def _apart(heights: Sequence[float], least: float = 14) -> list[float]:
    """Move the names at the lines' ends apart, each as little as possible."""
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    moved = list(heights)
    for lower, upper in itertools.pairwise(order):
        gap = least - (moved[upper] - moved[lower])
        if gap > 0:
            moved[lower], moved[upper] = moved[lower] - gap / 2, moved[upper] + gap / 2
    return moved


def _ground(frame: _Frame, start: float) -> str:
    """Return the tinted part from `start` to the end; what is one epoch wide begins half an epoch before."""
    left = max(frame.x(frame.x0), frame.x(start - 0.5))
    width, height = frame.x(frame.x1) - left, frame.height - _BOTTOM - _TOP
    return f'<rect class="apart" x="{left:.1f}" y="{_TOP}" width="{width:.1f}" height="{height}"/>'


def _grid(frame: _Frame, marks: Sequence[float], unit: str, scale: float = 1) -> list[str]:
    """Return lines and numbers at the marks; the unit stands with the highest."""
    parts = []
    right = frame.width - _RIGHT
    decimals = max((len(f"{scale * mark:.6g}".partition(".")[2]) for mark in marks), default=0)
    for mark in marks:
        y = frame.y(mark)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        written = f" {unit}" if unit and mark == max(marks) else ""
        parts.append(_text(_LEFT - 6, y + 4, f"{scale * mark:.{min(decimals, 6)}f}{written}", "end"))
    return parts


def _text(left: float, top: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], width: float, height: float, about: str) -> Markup:
    """Return the picture; every text in it has been escaped, every number formatted here."""
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(about)}">'
    return Markup(head + "".join(parts) + "</svg>")
