"""How well scores put the images of a class before the others: ROC-AUC and average precision, with intervals."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from netwright.evaluation.intervals import wilson
from netwright.evaluation.resampling import Floats, by_influences

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Area(NamedTuple):
    """A number in [0, 1] and the influence (N,) of each image on it: how it moves as the image's weight grows."""

    value: float
    influences: Floats


def ranking(scores: Floats, targets: Ints) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return ROC-AUC and average precision, and their intervals; None where one is not defined.

    `scores` (N, K) are log-probabilities, `targets` (N,). Both are means over the classes that occur, each against the
    rest; with two classes `roc_auc` is that of class 1."""
    if scores.shape[1] == 2:
        # The difference orders as the probability does and has no ties where float32 rounds probabilities to 1.
        # A class of probability exactly 0 makes it infinite: keep the order, stay finite.
        first, second = _finite(scores).T
        scores = np.stack([first - second, second - first], axis=1)
    scores = _finite(scores)
    present = np.unique(targets)
    values: dict[str, Any] = {"roc_auc": None, "average_precision": None}
    intervals: dict[str, Any] = dict(values)
    for name, area in (("roc_auc", roc_auc), ("average_precision", average_precision)):
        if len(present) < (2 if name == "roc_auc" else 1):
            continue
        areas = [area(scores[:, number], targets == number) for number in present]
        values[name] = float(np.mean([each.value for each in areas]))
        intervals[name] = by_influences(values[name], np.mean([each.influences for each in areas], axis=0))
        if intervals[name] is None and values[name] == 1:
            intervals[name] = [float(np.mean([_least(targets == number) for number in present])), 1.0]
    return values, intervals


def _least(hits: Bools) -> float:
    """Return what a class may have in truth where every hit scores higher than every other image: Wilson's low end of m
    in m, for so many pairs of a hit and another image can be made that share none."""
    num_hits = int(hits.sum())
    pairs = min(num_hits, len(hits) - num_hits) or num_hits
    return wilson(pairs, pairs)[0]


def _finite(scores: Floats) -> Floats:
    """Replace -infinity by a number below every float32, and so below every other log-probability."""
    return np.maximum(scores, -1e39)


def roc_auc(scores: Floats, hits: Bools) -> Area:
    """Return the chance that a hit scores higher than another image; ties count a half.

    Source of the influences: E. DeLong, D. DeLong and D. Clarke-Pearson, Biometrics 44 (1988)."""
    group, of_hits, of_others = _groups(scores, hits)
    num_hits, num_others = of_hits.sum(), of_others.sum()
    above_others = (of_others.cumsum() - of_others / 2) / num_others  # share of the others that a hit here beats
    below_hits = 1 - (of_hits.cumsum() - of_hits / 2) / num_hits
    value = float((of_hits * above_others).sum() / num_hits)
    gain = np.where(hits, above_others[group] / num_hits, below_hits[group] / num_others)
    share = np.where(hits, 1 / num_hits, 1 / num_others)
    return Area(value, len(scores) * (gain - value * share))


def average_precision(scores: Floats, hits: Bools) -> Area:
    """Return the mean over the hits of the precision among all that score as high (scikit-learn's definition)."""
    group, of_hits, of_others = _groups(-scores, hits)
    taken = (of_hits + of_others).cumsum()
    precision = of_hits.cumsum() / taken
    num_hits = of_hits.sum()
    value = float((of_hits * precision).sum() / num_hits)
    # An image moves the precision at every threshold that it passes: by (hit - precision) / taken each.
    passed = of_hits / taken
    moved = hits * _from_here_on(passed)[group] - _from_here_on(passed * precision)[group]
    return Area(value, len(scores) / num_hits * (hits * (precision[group] - value) + moved))


def _groups(scores: Floats, hits: Bools) -> tuple[Ints, Floats, Floats]:
    """Return each image's place among the different scores, ascending, and the hits and others of each place."""
    _, group = np.unique(scores, return_inverse=True)
    of_hits, of_all = np.bincount(group, hits), np.bincount(group)
    return group.astype(np.int64), of_hits.astype(np.float64), (of_all - of_hits).astype(np.float64)


def _from_here_on(values: Floats) -> Floats:
    """Return the sum of each value and those after it."""
    return np.asarray(values[::-1].cumsum()[::-1])
