"""The numbers that decide about a split, in the words of its task: a classifier's accuracy, a regression's errors."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from netwright.cli.text import accuracy, number, percent, with_interval

Metrics = Mapping[str, Any]


class Words(NamedTuple):
    """How a task's deciding number is called and written: with its interval, and alone in a column."""

    name: str
    short: str
    whole: Callable[[Metrics], str]
    cell: Callable[[float | None], str]


def errors(metrics: Metrics) -> str:
    """{"r2": 0.81, "mae": 3.1, …} -> "R² 0.81 (0.78 to 0.84), MAE 3.1 (2.9 to 3.3), RMSE 4.2 (…), n = 270"."""
    ends = metrics.get("intervals") or {}
    r2 = with_interval(number, metrics.get("r2"), metrics.get("r2_interval") or ends.get("r2"))
    mae = with_interval(number, metrics.get("mae"), metrics.get("mae_interval") or ends.get("mae"))
    rmse = with_interval(number, metrics.get("rmse"), metrics.get("rmse_interval") or ends.get("rmse"))
    return f"R² {r2}, MAE {mae}, RMSE {rmse}, n = {metrics.get('num_samples')}"


def masks(metrics: Metrics) -> str:
    """{"mean_dice": 0.87, …} -> "mean Dice 0.87 (0.85 to 0.89), 91.8 % of pixels, mean IoU 0.78 (…), n = 6"."""
    ends = metrics.get("intervals") or {}
    dice = with_interval(number, metrics.get("mean_dice"), ends.get("mean_dice"))
    pixels = with_interval(percent, metrics.get("accuracy"), ends.get("accuracy"))
    iou = with_interval(number, metrics.get("mean_iou"), ends.get("mean_iou"))
    return f"mean Dice {dice}, {pixels} of pixels, mean IoU {iou}, n = {metrics.get('num_samples')}"


# by the metric that a task alone has
WORDS = {
    "mean_dice": Words("mean Dice", "dice", masks, number),
    "accuracy": Words("accuracy", "acc", accuracy, percent),
    "r2": Words("R²", "R²", errors, number),
}


def words_of(metrics: Metrics) -> tuple[str, Words]:
    """Return the deciding metric's key and its words."""
    return next(((key, words) for key, words in WORDS.items() if key in metrics), ("accuracy", WORDS["accuracy"]))


def judged(split: str, metrics: Metrics) -> tuple[str, str]:
    """Return a line of a summary: "val accuracy", "98.1 % (95.6 to 99.3 %, n = 270)"; "val errors", "R² 0.81 …"."""
    key, words = words_of(metrics)
    what = {"r2": "errors", "mean_dice": "masks"}.get(key, words.name)
    return f"{split} {what}", words.whole(metrics)
