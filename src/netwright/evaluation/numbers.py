"""The numbers that judge a regression, each with its 95 % interval, from what was said and what is true."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.errors import WorkFailed
from netwright.evaluation.resampling import RESAMPLES, Floats, Interval, bca, median_interval, resampled_means

METHODS = {
    "mae": f"bootstrap over samples, BCa, {RESAMPLES} resamples",
    "rmse": f"bootstrap over samples, BCa, {RESAMPLES} resamples",
    "r2": f"bootstrap over samples, BCa, {RESAMPLES} resamples",
    "median_error": "order statistics, binomial",
    "bias": f"bootstrap over samples, BCa, {RESAMPLES} resamples",
}


def number_metrics(
    predictions: npt.NDArray[np.floating[Any]], targets: npt.NDArray[np.floating[Any]], *, loss: float | None = None
) -> dict[str, Any]:
    """Judge predictions (N,) against targets (N,), both in the targets' unit; the result is ready for JSON.

    `mae`, `rmse` and `median_error` are in that unit; `r2` is 1 - Σ(error²) / Σ(deviation from these targets' mean²).
    A number that is not defined (no samples, targets all equal) is None. Raises WorkFailed when a prediction is NaN or
    infinite."""
    said, truth = np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    assert said.shape == truth.shape
    assert said.ndim == 1
    bad = int((~np.isfinite(said)).sum())
    if bad:
        raise WorkFailed(
            f"the model's answers are not finite for {bad} of {len(said)} samples; train again with a lower "
            "optimizer.lr or with gradient clipping"
        )
    errors = said - truth
    found = _with_intervals(errors, truth) if len(errors) else dict.fromkeys(METHODS, (None, None))
    return {
        "mae": found["mae"][0],
        "mae_interval": found["mae"][1],
        "rmse": found["rmse"][0],
        "rmse_interval": found["rmse"][1],
        "r2": found["r2"][0],
        "r2_interval": found["r2"][1],
        "num_samples": len(errors),
        "loss": float(loss) if loss is not None and math.isfinite(loss) else None,
        "median_error": found["median_error"][0],
        "bias": found["bias"][0],
        "intervals": {name: ends for name, (_, ends) in found.items()},
        "interval_methods": METHODS,
        "targets": _spread(truth),
    }


def mean_baseline(targets: npt.NDArray[np.floating[Any]], mean: float) -> dict[str, Any]:
    """Return mae, rmse and r2 of always saying train's mean."""
    truth = np.asarray(targets, dtype=np.float64)
    found = point_metrics(mean - truth, truth)
    return {"value": mean, **found, "num_samples": len(truth)}


def point_metrics(errors: Floats, truth: Floats) -> dict[str, float | None]:
    """Return mae, rmse and r2 of errors (N,) without intervals."""
    if not len(errors):
        return {"mae": None, "rmse": None, "r2": None}
    squared, spread = float((errors**2).mean()), float(truth.var())
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": math.sqrt(squared),
        "r2": 1 - squared / spread if spread else None,
    }


def _with_intervals(errors: Floats, truth: Floats) -> dict[str, tuple[float | None, Interval | None]]:
    """Return each number with its interval, all from the same resamples: means of |e|, e², t and t²."""
    points = {
        **point_metrics(errors, truth),
        "median_error": float(np.median(np.abs(errors))),
        "bias": float(errors.mean()),
    }
    centred = truth - truth.mean()  # the variance of large numbers would be lost in their squares
    columns = np.column_stack([np.abs(errors), errors**2, centred, centred**2, errors])
    means = resampled_means(columns)
    squared, spread = float((errors**2).mean()), float(truth.var())
    intervals: dict[str, Interval | None] = {
        "mae": bca(means[:, 0], float(points["mae"] or 0.0), columns[:, 0] - columns[:, 0].mean()),
        "rmse": bca(np.sqrt(means[:, 1]), math.sqrt(squared), columns[:, 1] - squared),
        "r2": None,
        "median_error": median_interval(np.abs(errors)),
        "bias": bca(means[:, 4], float(errors.mean()), errors - errors.mean()),
    }
    resampled_spread = means[:, 3] - means[:, 2] ** 2
    r2 = points["r2"]
    if r2 is not None and (resampled_spread > 0).all():
        influences = -(columns[:, 1] - squared) / spread + squared * (columns[:, 3] - spread) / spread**2
        intervals["r2"] = bca(1 - means[:, 1] / resampled_spread, r2, influences)
    return {name: (points[name], intervals[name]) for name in points}


def _spread(truth: Floats) -> dict[str, float] | None:
    if not len(truth):
        return None
    return {
        "mean": float(truth.mean()),
        "std": float(truth.std()),
        "low": float(truth.min()),
        "high": float(truth.max()),
    }
