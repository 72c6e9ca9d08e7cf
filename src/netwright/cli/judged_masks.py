"""What `netwright evaluate` says of masks."""

from collections.abc import Mapping, Sequence
from typing import Any

from netwright.cli.text import number, percent, table, with_interval


def mask_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The deciding numbers, each with its interval."""
    ends = metrics.get("intervals") or {}
    same = (metrics.get("baselines") or {}).get("majority") or {}
    rows = [("mean Dice", with_interval(_score, metrics.get("mean_dice"), ends.get("mean_dice")))]
    if same.get("mean_dice") is not None:
        rows.append(("  always the same", f"{_score(same['mean_dice'])} ({same['label']})"))
    rows.append(("mean IoU", with_interval(_score, metrics.get("mean_iou"), ends.get("mean_iou"))))
    rows.append(("right pixels", with_interval(percent, metrics.get("accuracy"), ends.get("accuracy"))))
    if same:
        rows.append(("  always the same", f"{percent(same['accuracy'])} ({same['label']})"))
    counted = f"{metrics.get('num_samples')} with {metrics.get('num_pixels') or 0:,} pixels that have a class"
    return [*rows, ("loss", number(metrics.get("loss"))), ("images", counted)]


def mask_classes(records: Sequence[Mapping[str, Any]]) -> str:
    """A table of one line a class, in the order of the classes."""
    rows = [
        (
            record["label"],
            with_interval(_score, record["dice"], record["dice_interval"]),
            with_interval(_score, record["iou"], record["iou_interval"]),
            _score(record["precision"]),
            _score(record["recall"]),
            f"{record['num_pixels']:,}",
        )
        for record in records
    ]
    return table(rows, ("class", "Dice", "IoU", "precision", "recall", "pixels"), right=(3, 4, 5))


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
