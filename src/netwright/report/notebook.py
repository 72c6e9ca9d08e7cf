"""A run as a notebook shows it: its numbers, its curves and the table of its epochs."""

import base64
import html
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from netwright.report.curves import draw_curves
from netwright.report.style import png_bytes

Record = Mapping[str, Any]

_EPOCH_COLUMNS = {
    "epoch": "epoch",
    "train_loss": "train loss",
    "val_loss": "val loss",
    "train_accuracy": "train accuracy",
    "val_accuracy": "val accuracy",
    "train_rmse": "train RMSE",
    "val_rmse": "val RMSE",
    "lr": "lr",
    "train_seconds": "train seconds",
}
# No colours of its own, so that it is legible on a dark page as on a light one; `b` marks the best epoch.
_DIRECTIONS = ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI")
_CELL = "padding:0.15em 0.8em;text-align:right;font-variant-numeric:tabular-nums"


def history_html(
    history: Sequence[Record], metrics: Mapping[str, Record], title: str, *, best_epoch: int | None = None
) -> str:
    """Return an HTML fragment for `_repr_html_`: metrics by split, the curves as an inline PNG, a table of the epochs.

    `metrics` maps split names to what `classification_metrics` gives. All text is escaped, nothing is loaded from
    anywhere.
    """
    parts = [f"<p><strong>{_escaped(title)}</strong></p>", _metrics_table(metrics)]
    if history:
        picture = base64.b64encode(png_bytes(draw_curves(history, best_epoch=best_epoch, title=title))).decode("ascii")
        about = _escaped(f"Loss and accuracy over {len(history)} epochs of {title}")
        parts.append(f'<img alt="{about}" style="max-width:100%;width:900px" src="data:image/png;base64,{picture}">')
        parts.append(_epochs_table(history, best_epoch))
    return "<div>" + "\n".join(part for part in parts if part) + "</div>"


def _metrics_table(metrics: Mapping[str, Record]) -> str:
    """Return one row a split: accuracy with its interval, loss, number of images."""
    if not metrics:
        return ""
    rows = [
        [split, *_decisive(record),
         _decimal(record.get("loss")), _count(record.get("num_samples"))]
        for split, record in metrics.items()
    ]  # fmt: skip
    what = "R²" if any("r2" in record for record in metrics.values()) else "accuracy"
    return _table(["split", what, "95 % interval", "loss", "images"], rows)


def _decisive(record: Record) -> tuple[str, str]:
    """Return accuracy, or R², and its interval."""
    if "r2" not in record:
        return _percent(record.get("accuracy")), _interval(record.get("accuracy_interval"))
    ends = record.get("r2_interval") or (None, None)
    return _decimal(record["r2"]), f"{_decimal(ends[0])} to {_decimal(ends[1])}"


def _epochs_table(history: Sequence[Record], best_epoch: int | None) -> str:
    """Return one row an epoch, folded away where there are more than ten."""
    keys = [key for key in _EPOCH_COLUMNS if any(key in record for record in history)]
    rows = [[_value(key, record.get(key)) for key in keys] for record in history]
    bold = [number for number, record in enumerate(history) if record.get("epoch") == best_epoch]
    shown = " open" if len(history) <= 10 else ""
    summary = f"{len(history)} epochs" if len(history) != 1 else "1 epoch"
    if best_epoch is not None:
        summary += f", best: {best_epoch}"
    table = _table([_EPOCH_COLUMNS[key] for key in keys], rows, bold)
    return f"<details{shown}><summary>{_escaped(summary)}</summary>{table}</details>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], bold: Sequence[int] = ()) -> str:
    """Return an HTML table; every cell is escaped here, and only here."""
    head = "".join(f'<th scope="col" style="{_CELL}">{_escaped(name)}</th>' for name in heads)
    lines = []
    for number, row in enumerate(rows):
        mark = ("<b>", "</b>") if number in bold else ("", "")
        cells = "".join(f'<td style="{_CELL}">{mark[0]}{_escaped(cell)}{mark[1]}</td>' for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _escaped(text: object) -> str:
    """Return text for HTML; what can't be encoded or turns the direction of the page around is shown as U+FFFD."""
    bad = (unicodedata.category(c) in ("Cs", "Cc") or unicodedata.bidirectional(c) in _DIRECTIONS for c in str(text))
    safe = "".join("\ufffd" if is_bad else c for c, is_bad in zip(str(text), bad, strict=True))
    return html.escape(safe, quote=True)


def _value(key: str, value: object) -> str:
    """Write one number of a record as its column asks."""
    if key.endswith("accuracy"):
        return _percent(value)
    if key.endswith("loss"):
        return _decimal(value)
    if key.endswith("seconds"):
        return f"{value:.1f}" if _is_number(value) else "–"
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _percent(value: object) -> str:
    return f"{value:.1%}".replace("%", " %") if _is_number(value) else "–"


def _decimal(value: object) -> str:
    return f"{value:.4f}" if _is_number(value) else "–"


def _count(value: object) -> str:
    return f"{value:,}" if _is_number(value) else "–"


def _interval(value: object) -> str:
    if not isinstance(value, Sequence) or len(value) != 2:
        return "–"
    return f"{_percent(value[0])} to {_percent(value[1])}"
