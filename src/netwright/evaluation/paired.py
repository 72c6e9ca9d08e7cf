"""Two networks that give masks, or numbers, on the same images: how far apart they are, and whether that could be
chance. No torch.

An interval resamples images, each with both answers. The test swaps the two answers to an image, as is fair where
neither is better: the probability of a difference as large as the one found. With few images it is the stricter of
both: 5 tell nothing, whatever is said of them. Source: R. Fisher, "The design of experiments" (1935).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.evaluation.resampling import resampled_means

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.integer[Any]]
LEVEL = 0.05
SWAPS = 10_000
_ALL_SWAPS = 13  # images of which all 2^13 swaps are tried
_CHUNK_NUMBERS = 4_000_000
_METHODS = f"exact or {SWAPS:,} random swaps of the two answers to an image; paired percentile bootstrap over images"


def compare_masks(first: Counts, second: Counts) -> dict[str, Any]:
    """Compare two networks, the second against the first, by the confusion counts (N, K, K) of the same N images.

    `mean_dice_difference` and `accuracy_difference` are of the pixels of all images together, with intervals;
    `probability` is that of the swaps for mean Dice; `distinguishable` needs both the test and the interval."""
    sides = _columns(first), _columns(second)
    totals = [side.sum(axis=0) for side in sides]
    drawn = resampled_means(np.concatenate(sides, axis=1))
    means = np.split(drawn, 2, axis=1)
    each = [_mean_dice(side) for side in sides]
    found: dict[str, Any] = {"num_samples": len(first)}
    for name, score in (("mean_dice", _mean_dice), ("accuracy", _accuracy)):
        found[f"{name}_of"] = [float(score(total)) for total in totals]
        found[f"{name}_difference"] = float(score(totals[1]) - score(totals[0]))
        found[f"{name}_difference_interval"] = _percentiles(score(means[1]) - score(means[0]))
    apart = sides[1] - sides[0]

    def swapped(swaps: Floats) -> Floats:
        moved = swaps @ apart
        return _mean_dice(totals[1] - moved) - _mean_dice(totals[0] + moved)

    return _judged(found, "mean_dice", len(first), swapped) | {
        "only_first_better": int((each[0] > each[1]).sum()),
        "only_second_better": int((each[1] > each[0]).sum()),
    }


def compare_numbers(first: Floats, second: Floats, targets: Floats) -> dict[str, Any]:
    """Compare two networks by the numbers (N,) that they say of the same samples.

    `mae_difference` and `rmse_difference` are the second's error less the first's, so less than 0 where the second is
    better; `probability` is that of the swaps for the mean absolute error."""
    errors = np.abs(np.stack([first, second], axis=1) - targets[:, None])
    columns = np.concatenate([errors, errors**2], axis=1)
    means, drawn = columns.mean(axis=0), resampled_means(columns)
    apart = errors[:, 1] - errors[:, 0]
    found: dict[str, Any] = {
        "num_samples": len(targets),
        "mae_of": means[:2].tolist(),
        "mae_difference": float(means[1] - means[0]),
        "mae_difference_interval": _percentiles(drawn[:, 1] - drawn[:, 0]),
        "rmse_of": np.sqrt(means[2:]).tolist(),
        "rmse_difference": float(np.sqrt(means[3]) - np.sqrt(means[2])),
        "rmse_difference_interval": _percentiles(np.sqrt(drawn[:, 3]) - np.sqrt(drawn[:, 2])),
    }

    def swapped(swaps: Floats) -> Floats:
        differences: Floats = (apart.sum() - 2 * (swaps @ apart)) / len(apart)
        return differences

    return _judged(found, "mae", len(targets), swapped) | {
        "only_first_better": int((apart > 0).sum()),
        "only_second_better": int((apart < 0).sum()),
    }


def _judged(found: dict[str, Any], what: str, num: int, swapped: Callable[[Floats], Floats]) -> dict[str, Any]:
    """Add the probability of a difference as large by chance, and whether both it and the interval tell them apart."""
    probability = _probability(found[f"{what}_difference"], num, swapped)
    low, high = found[f"{what}_difference_interval"]
    told = probability < LEVEL and not low <= 0 <= high
    return found | {"probability": probability, "distinguishable": bool(told), "methods": _METHODS}


def _probability(difference: float, num: int, swapped: Callable[[Floats], Floats]) -> float:
    """Return the share of swaps (R, N) of 0 and 1 whose difference is as large as the one found, or larger."""
    as_large = abs(difference) * (1 - 1e-9)
    if num <= _ALL_SWAPS:
        swaps = (np.arange(2**num)[:, None] >> np.arange(num)) & 1
        return float((np.abs(swapped(swaps.astype(np.float64))) >= as_large).mean())
    random, larger = np.random.default_rng(0), 1  # the one found is a swap too
    at_once = max(1, _CHUNK_NUMBERS // num)
    for start in range(0, SWAPS, at_once):
        swaps = random.integers(0, 2, (min(at_once, SWAPS - start), num))
        larger += int((np.abs(swapped(swaps.astype(np.float64))) >= as_large).sum())
    return larger / (SWAPS + 1)


def _columns(confusions: Counts) -> Floats:
    """Return (N, 3 K): of each class the right pixels, those that are of it, and those taken for it."""
    counts = np.asarray(confusions, dtype=np.float64)
    right = np.diagonal(counts, axis1=1, axis2=2)
    return np.concatenate([right, counts.sum(axis=2), counts.sum(axis=1)], axis=1)


def _mean_dice(columns: Floats) -> Floats:
    """Return the mean Dice (…) of sums (…, 3 K) over the classes that there are."""
    right, of_class, taken_for = np.split(columns, 3, axis=-1)
    both = of_class + taken_for
    there = both > 0.5 / SWAPS  # means of counts; what is left of sums and differences is no pixel
    dice = np.where(there, 2 * right / np.where(there, both, 1.0), 0.0)
    mean: Floats = dice.sum(axis=-1) / np.maximum(there.sum(axis=-1), 1)
    return mean


def _accuracy(columns: Floats) -> Floats:
    right, of_class, _ = np.split(columns, 3, axis=-1)
    share: Floats = right.sum(axis=-1) / np.maximum(of_class.sum(axis=-1), 1e-12)
    return share


def _percentiles(values: Floats) -> list[float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return [float(low), float(high)]
