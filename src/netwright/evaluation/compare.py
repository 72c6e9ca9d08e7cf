"""Two classifiers on the same images: how far apart they are, and whether that could be chance. No torch."""

from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.config.masks import IGNORED
from netwright.evaluation.resampling import resampled_means

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.integer[Any]]
RESAMPLES = 10_000
LEVEL = 0.05


def compare_answers(right: tuple[Bools, Bools], losses: tuple[Floats, Floats]) -> dict[str, Any]:
    """Compare two classifiers, the second against the first, from which of N images each gets right and its log loss.

    `accuracy_difference` and `log_loss_difference` have paired bootstrap intervals, `mcnemar` the exact test on the
    images that only one of them gets right; `distinguishable` needs both the test and the interval to say so."""
    first, second = right
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    num_samples = len(first)
    probability = mcnemar(only_first, only_second)
    ends = paired_difference(only_first, only_second, num_samples)
    apart = losses[1] - losses[0]
    return {
        "num_samples": num_samples,
        "accuracies": [float(first.mean()), float(second.mean())],
        "accuracy_difference": (only_second - only_first) / num_samples,
        "accuracy_difference_interval": ends,
        "only_first_right": only_first,
        "only_second_right": only_second,
        "mcnemar": probability,
        "log_loss_difference": float(apart.mean()),
        # not BCa as for a loss: of two that are alike the differences have long tails on both sides, and BCa held 91 %
        "log_loss_difference_interval": np.quantile(resampled_means(apart[:, None])[:, 0], [0.025, 0.975]).tolist(),
        "distinguishable": probability < LEVEL and not ends[0] <= 0 <= ends[1],
        "methods": f"exact McNemar test, two-sided; paired bootstrap over images, {RESAMPLES} resamples",
    }


def lost_answers(before: Classes, after: Classes, targets: Classes) -> dict[str, Any]:
    """Return the accuracy before and after something was done to a classifier, and what is lost, with its interval by
    paired bootstrap over images; all are classes (N,)."""
    right = before == targets, after == targets
    only_before, only_after = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    ends = paired_difference(only_before, only_after, len(targets))
    return {
        "fp32": float(right[0].mean()),
        "int8": float(right[1].mean()),
        "lost": (only_before - only_after) / len(targets),
        "lost_interval": [0.0 - ends[1], 0.0 - ends[0]],
        "same_class": float((before == after).mean()),
        "num_samples": len(targets),
    }


def lost_pixels(before: Classes, after: Classes, targets: Classes) -> dict[str, Any]:
    """Return the same of masks (N, H, W): shares of the pixels that have a class, resampling images."""
    judged = targets != IGNORED
    counts = np.stack(
        [(found & judged).sum(axis=(1, 2)) for found in (judged, before == targets, after == targets, before == after)],
        axis=1,
    ).astype(np.float64)
    right_before, right_after, same = (counts.sum(axis=0) / max(1.0, counts[:, 0].sum()))[1:]
    ends = None
    if len(targets) > 1:
        drawn = resampled_means(counts)
        ends = np.quantile((drawn[:, 1] - drawn[:, 2]) / np.maximum(drawn[:, 0], 1.0), [0.025, 0.975]).tolist()
    return {
        "fp32": float(right_before),
        "int8": float(right_after),
        "lost": float(right_before - right_after),
        "lost_interval": ends,
        "same_class": float(same),
        "num_samples": len(targets),
        "num_pixels": int(counts[:, 0].sum()),
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided probability of so uneven a share of the images that only one gets right, were both as good.

    Exact (binomial) whatever the counts. Source: Q. McNemar, Psychometrika 12 (1947)."""
    from scipy.special import bdtr  # 0.2 s to load, which no training waits for before its first step

    discordant = only_first + only_second
    if not discordant:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5)))


def paired_difference(only_first: int, only_second: int, num_samples: int, seed: int = 0) -> list[float]:
    """Return the 95 % interval of accuracy(second) - accuracy(first), resampling images with both answers.

    An image adds -1, 0 or 1, so resampling N images is drawing from a multinomial over three cells. Half an image is
    put beside each of the first two: where only 2 images tell two classifiers apart, plain resampling held the truth in
    84 % of sets, and of none it makes certainty. Source: A. Agresti and Y. Min, "Simple improved confidence intervals
    for comparing matched proportions", Statistics in Medicine 24 (2005)."""
    same = num_samples - only_first - only_second
    shares = np.array([only_first + 0.5, only_second + 0.5, same]) / (num_samples + 1)
    drawn = np.random.default_rng(seed).multinomial(num_samples, shares, RESAMPLES)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / num_samples, [0.025, 0.975])
    return [float(low), float(high)]
