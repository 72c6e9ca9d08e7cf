"""Whether probabilities mean what they say: expected calibration error, Brier score, log loss; and the temperature."""

from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.evaluation.intervals import wilson
from netwright.evaluation.resampling import Floats, Interval, bca, resampled_means
from netwright.tasks.temperature import tempered

Ints = npt.NDArray[np.int64]

NUM_BINS = 15
FOLDS = 5
LOWEST, HIGHEST = 0.05, 20.0  # a temperature beyond these says that something else is wrong
_SURELY_NOT = -100.0  # log-probability of what float32 calls impossible; finite, so that one image can't decide alone


def fit_temperature(log_probabilities: npt.NDArray[np.floating[Any]], targets: Ints) -> float | None:
    """Return the T > 0 for which softmax(log_probabilities / T) has the least log loss, rounded to 6 digits.

    None where the images can't tell: none, or every answer right, so that ever sharper would seem ever better.
    The log loss is convex in 1 / T: Newton's steps, halved towards the bracket where they leave it. In float64.
    Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017."""
    scores = np.maximum(np.asarray(log_probabilities, dtype=np.float64), _SURELY_NOT)
    if not len(scores) or bool((scores.argmax(axis=1) == targets).all()):
        return None
    of_target = scores[np.arange(len(scores)), targets]
    low, high, sharpness = 1 / HIGHEST, 1 / LOWEST, 1.0
    for _ in range(100):
        weights = np.exp(tempered(scores, 1 / sharpness))
        mean = (weights * scores).sum(axis=1)
        slope = float((mean - of_target).mean())
        curvature = float(((weights * scores**2).sum(axis=1) - mean**2).mean())
        low, high = (low, sharpness) if slope > 0 else (sharpness, high)
        step = sharpness - slope / curvature if curvature > 0 else low - 1
        last, sharpness = sharpness, step if low < step < high else (low + high) / 2
        if abs(sharpness - last) < 1e-12 * last:
            break
    return float(f"{1 / sharpness:.6g}")


def cross_fitted(log_probabilities: Floats, targets: Ints) -> Floats:
    """Return each image's log-probabilities under the temperature that the other four fifths give.

    A temperature looks too good on the images that chose it. Image i is in fold i mod 5."""
    result = np.array(log_probabilities, dtype=np.float64)
    fold = np.arange(len(targets)) % FOLDS
    for number in range(FOLDS):
        inside = fold == number
        result[inside] = tempered(result[inside], fit_temperature(log_probabilities[~inside], targets[~inside]))
    return result


def calibration(log_probabilities: Floats, targets: Ints, *, with_intervals: bool = True) -> dict[str, Any]:
    """Return `ece`, `brier` and `log_loss`, their `intervals` if wanted, and the `bins` of the reliability diagram.

    `log_probabilities` (N, K) are of what is shown to people. The expected calibration error is the mean over images of
    |accuracy - mean confidence| of their bin, 15 of equal width, confidence being the likeliest class's probability
    (M. Naeini, G. Cooper and M. Hauskrecht, AAAI 2015). The Brier score is the sum over classes of the squared error
    (G. Brier, 1950), from 0 to 2."""
    num_samples = len(targets)
    if not num_samples:
        return {"ece": None, "brier": None, "log_loss": None, "intervals": {}, "bins": []}
    place = np.arange(num_samples)
    probabilities = np.exp(log_probabilities)
    confidence = probabilities.max(axis=1)
    right = log_probabilities.argmax(axis=1) == targets
    gaps = np.zeros((num_samples, NUM_BINS))
    bins = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)  # (0, 1/15], (1/15, 2/15], …
    gaps[place, bins] = right - confidence
    losses = -np.maximum(log_probabilities[place, targets], _SURELY_NOT)
    squares = (probabilities**2).sum(axis=1) - 2 * probabilities[place, targets] + 1
    columns = np.column_stack([losses, squares, gaps])
    means = columns.mean(axis=0)
    intervals: dict[str, Interval] = {}
    if with_intervals:
        resampled = resampled_means(columns)
        for number, name in enumerate(("log_loss", "brier")):
            influences = columns[:, number] - means[number]
            intervals[name] = bca(resampled[:, number], float(means[number]), influences)
        intervals["ece"] = ece_interval(means[2:], resampled[:, 2:])
    return {
        "ece": float(np.abs(means[2:]).sum()),
        "brier": float(means[1]),
        "log_loss": float(means[0]),
        "intervals": intervals,
        "bins": _bins(bins, confidence, right),
    }


def ece_interval(gaps: Floats, resampled: Floats) -> Interval:
    """Return the interval of sum |gap| from the bins' gaps (M,) and their resampled values (B, M), by test inversion.

    An error that is a sum of absolute values seems greater than it is wherever chance moves the bins, so resampling it
    directly would miss the truth of a well calibrated network always. Inside are all multiples of the gaps seen that,
    with chance added, would be seen as small and as great as these are. Source: J. Carpenter, "Test inversion bootstrap
    confidence intervals", JRSS B 61 (1999); the family, multiples of what was seen, is ours."""
    chance = resampled - gaps
    seen = float(np.abs(gaps).sum())
    multiples = np.linspace(0, 2, 21)
    # The error of a calibrated network is at the end of the scale, where the upper end never misses: so the lower tail
    # is the larger one.
    quantiles = np.array([np.quantile(np.abs(m * gaps + chance).sum(axis=1), [0.02, 0.97]) for m in multiples])
    low = min(float(np.interp(seen, quantiles[:, 1], multiples, left=0.0)), 1.0) * seen
    high = max(float(np.interp(seen, quantiles[:, 0], multiples, left=0.0)), 1.0) * seen
    if low > 0:
        # Surely not calibrated: where its bins differ much the family is too narrow above. Half of the way towards the
        # percentile's end, its bias taken off, makes up for it.
        errors = np.abs(resampled).sum(axis=1)
        high += 0.5 * max(0.0, seen + float(np.quantile(errors, 0.975) - errors.mean()) - high)
    return [low, high]


def _bins(bins: npt.NDArray[Any], confidence: Floats, right: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return the bins that hold images, by confidence."""
    found = []
    for number in np.unique(bins):
        inside = bins == number
        count, num_right = int(inside.sum()), int(right[inside].sum())
        found.append(
            {
                "low": number / NUM_BINS,
                "high": (number + 1) / NUM_BINS,
                "num_samples": count,
                "confidence": float(confidence[inside].mean()),
                "accuracy": num_right / count,
                "accuracy_interval": list(wilson(num_right, count)),
            }
        )
    return found
