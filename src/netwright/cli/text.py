"""How results look in a terminal: aligned tables, accuracies in percent with their interval, and JSON."""

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from netwright.workflows.duration import duration as words
from netwright.workflows.printable import printable


@contextlib.contextmanager
def work(as_json: bool) -> Iterator[None]:
    """Run a workflow; with --json whatever it (or a library) prints goes to standard error, not among the JSON."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text; what in a name could move a terminal's cursor is shown escaped."""
    click.echo(printable(text), err=err, nl=nl)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line; NaN and infinities, which JSON has not, become null."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
    click.echo(text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value


def table(rows: Sequence[Sequence[object]], header: Sequence[str] = (), right: Sequence[int] = ()) -> str:
    """Lay rows out in columns two spaces apart; the columns numbered in `right` are flush right."""
    cells = [[_cell(value) for value in row] for row in ([header, *rows] if header else rows)]
    if not cells:
        return ""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row in cells:
        padded = (
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    """A value as text; what could move a terminal's cursor (a file's name may hold anything) is shown escaped."""
    return "-" if value is None else printable(str(value)).replace("\n", "\\n")


def columns(names: Sequence[str], width: int = 100) -> str:
    """Lay names out in as many columns as fit `width` characters, read downwards."""
    if not names:
        return ""
    wide = max(map(len, names)) + 2
    num_rows = math.ceil(len(names) / max(1, width // wide))
    lines = ("".join(name.ljust(wide) for name in names[row::num_rows]) for row in range(num_rows))
    return "\n".join(line.rstrip() for line in lines)


def indented(text: str, by: int = 2) -> str:
    """Move every line to the right."""
    return "\n".join(" " * by + line if line else line for line in text.splitlines())


def percent(fraction: float | None) -> str:
    """0.981 -> "98.1 %"; no number -> "-"."""
    return "-" if _missing(fraction) else f"{100 * fraction:.1f} %"  # type: ignore[operator]


def accuracy(metrics: Mapping[str, Any]) -> str:
    """{"accuracy": 0.981, …} -> "98.1 % (95.6 to 99.3 %, n = 270)"."""
    text = percent(metrics.get("accuracy"))
    details = []
    if metrics.get("accuracy_interval"):
        low, high = metrics["accuracy_interval"]
        details.append(f"{100 * low:.1f} to {100 * high:.1f} %")
    if metrics.get("num_samples") is not None:
        details.append(f"n = {metrics['num_samples']}")
    if metrics.get("views", 1) > 1:
        details.append(f"{metrics['views']} views")
    return f"{text} ({', '.join(details)})" if details else text


def with_loss(text: str, metrics: Mapping[str, Any]) -> str:
    """Put a split's loss, where there is one, and its interval behind what was said of the split."""
    if metrics.get("loss") is None:
        return text
    ends = metrics.get("loss_interval", (metrics.get("intervals") or {}).get("loss"))
    return f"{text}, loss {with_interval(number, metrics['loss'], ends)}"


def with_interval(write: Callable[[float | None], str], value: float | None, ends: Sequence[float] | None) -> str:
    """A number with the ends of its 95 % interval: "0.912 (0.881 to 0.94)"; "98.1 % (95.6 to 99.3 %)"."""
    if _missing(value) or not ends:
        return write(value)
    return f"{write(value)} ({write(ends[0]).removesuffix(' %')} to {write(ends[1])})"


def number(value: float | None, decimals: int | None = None) -> str:
    """A plain number, to four digits or to so many decimals; no number -> "-"."""
    if _missing(value):
        return "-"
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: "9.8 s", "12 s", "3 min 20 s", "2 h 5 min"."""
    if seconds is None or _missing(seconds):
        return "-"
    return words(seconds)


def size(num_bytes: float) -> str:
    """Bytes as a person says them: "812 kB", "3.1 GB"."""
    power = 0
    while num_bytes >= 999.5 and power < 4:
        num_bytes, power = num_bytes / 1000, power + 1
    return f"{num_bytes:.{1 if power and num_bytes < 9.95 else 0}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
