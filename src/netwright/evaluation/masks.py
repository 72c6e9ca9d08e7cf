"""The numbers that judge masks, each with its 95 % interval over images, from the images' confusion counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.evaluation.resampling import RESAMPLES, bca, resampled_means

Floats = npt.NDArray[np.float64]
METHODS = {"all": f"bootstrap over images, BCa, {RESAMPLES} resamples"}


def mask_metrics(
    confusions: npt.NDArray[np.integer[Any]], class_names: Sequence[str], *, loss: float | None = None
) -> dict[str, Any]:
    """Judge N images by their confusion counts (N, K, K), targets by predictions; the result is ready for JSON.

    Pixels of all images count together. IoU of a class is its right pixels by those that are of it or taken for it,
    Dice (the F1 of pixels) twice these by the sum of both; means are over the classes that there are. An interval is of
    other images like these: pixels of one image are no sample. None where a number is not defined."""
    counts = np.asarray(confusions, dtype=np.float64)
    num_images, num_classes, _ = counts.shape
    assert num_classes == len(class_names)
    total = counts.sum(axis=0)
    values, intervals = _numbers(total), {}
    if num_images > 1:
        means = resampled_means(counts.reshape(num_images, -1)).reshape(-1, num_classes, num_classes)
        intervals = _intervals(values, _numbers(means), _numbers(total - counts))
    per_class = [
        {
            "label": name,
            **{what: _plain(values[what][place]) for what in ("iou", "dice", "precision", "recall")},
            **{f"{what}_interval": intervals.get((what, place)) for what in ("iou", "dice")},
            "num_pixels": int(total[place].sum()),
        }
        for place, name in enumerate(class_names)
    ]
    single = ("accuracy", "mean_iou", "mean_dice")
    return {
        **{what: _plain(values[what]) for what in single},
        "accuracy_interval": intervals.get(("accuracy", None)),
        "loss": loss if loss is not None and np.isfinite(loss) else None,
        "num_samples": num_images,
        "num_pixels": int(total.sum()),
        "intervals": {what: intervals.get((what, None)) for what in single},
        "interval_methods": METHODS,
        "per_class": per_class,
        "confusion_matrix": total.astype(np.int64).tolist(),
    }


def image_scores(confusions: npt.NDArray[np.integer[Any]]) -> Floats:
    """Return each image's mean Dice over the classes that it has, (N,); NaN for one without any pixel."""
    scores: Floats = _numbers(np.asarray(confusions, dtype=np.float64))["mean_dice"]
    return scores


def majority(counts: Sequence[int], confusion: Sequence[Sequence[int]], class_names: Sequence[str]) -> dict[str, Any]:
    """Return what always saying the class of most pixels in train would give: right pixels and mean Dice.

    `confusion` (K, K) is of the judged images."""
    place = int(np.argmax(counts))
    pixels = np.array(confusion, dtype=np.float64).sum(axis=1)
    answers = np.zeros((len(pixels), len(pixels)))
    answers[:, place] = pixels
    found = _numbers(answers)
    return {
        "label": class_names[place],
        **{what: float(np.nan_to_num(found[what])) for what in ("accuracy", "mean_dice")},
    }


def _numbers(confusion: Floats) -> dict[str, Any]:
    """Return numbers of confusion matrices (…, K, K): (…) each, and (…, K) for those of a class; NaN if undefined."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    of_class, taken_for = confusion.sum(axis=-1), confusion.sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou, dice = right / (of_class + taken_for - right), 2 * right / (of_class + taken_for)
        numbers = {
            "accuracy": right.sum(axis=-1) / confusion.sum(axis=(-2, -1)),
            "iou": iou,
            "dice": dice,
            "precision": right / taken_for,
            "recall": right / of_class,
        }
    return numbers | {"mean_iou": _mean(iou), "mean_dice": _mean(dice)}


def _mean(values: Floats) -> Floats:
    """Return the mean over the last axis of what is defined; NaN where nothing is."""
    known = ~np.isnan(values)
    number = known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    mean: Floats = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return mean


def _intervals(
    values: dict[str, Any], resampled: dict[str, Any], without_one: dict[str, Any]
) -> dict[tuple[str, int | None], list[float] | None]:
    """Return the interval of every number, of a class by its place; `without_one` are those without image i."""
    found: dict[tuple[str, int | None], list[float] | None] = {}
    for what in ("accuracy", "mean_iou", "mean_dice"):
        found[what, None] = _interval(values[what], resampled[what], without_one[what])
    for what in ("iou", "dice"):
        for place, value in enumerate(values[what]):
            found[what, place] = _interval(value, resampled[what][:, place], without_one[what][:, place])
    return found


def _interval(value: Any, resampled: Floats, without_one: Floats) -> list[float] | None:
    known, others = resampled[~np.isnan(resampled)], without_one[~np.isnan(without_one)]
    if np.isnan(value) or len(known) < RESAMPLES / 2 or len(others) < 2:
        return None
    low, high = bca(known, float(value), others.mean() - others)
    return [min(low, float(value)), max(high, float(value))]


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
