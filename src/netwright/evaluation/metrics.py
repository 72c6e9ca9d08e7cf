"""The numbers that judge a classifier, each with its 95 % interval, from its log-probabilities and the targets."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.errors import WorkFailed
from netwright.evaluation.averages import averages
from netwright.evaluation.calibration import calibration, cross_fitted
from netwright.evaluation.intervals import wilson
from netwright.evaluation.ranking import ranking
from netwright.evaluation.resampling import RESAMPLES, bca, resampled_means
from netwright.tasks.temperature import tempered

TOP_K = (3, 5)
METHODS = {
    "accuracy, top-k, precision and recall of a class": "Wilson",
    "loss, log_loss, brier": f"bootstrap over samples, BCa, {RESAMPLES} resamples",
    "F1 of a class": f"bootstrap over samples, percentile, {RESAMPLES} resamples",
    "averages of precision, recall and F1": f"bootstrap over samples, Wilson's form, {RESAMPLES} resamples",
    "roc_auc, average_precision": "infinitesimal jackknife (DeLong's for ROC-AUC), normal on the logit scale; "
    "Wilson's low end where no sample is out of order",
    "ece": f"bootstrap over samples, test inversion, {RESAMPLES} resamples",
}
SampleLosses = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def classification_metrics(
    log_probabilities: npt.NDArray[np.floating[Any]],
    targets: npt.NDArray[np.integer[Any]],
    class_names: tuple[str, ...],
    *,
    loss: float | None = None,
    sample_losses: SampleLosses | None = None,
    temperature: float | None = None,
    fitted_here: bool = False,
) -> dict[str, Any]:
    """Judge the network's log-probabilities (N, K) against targets (N,) int; the result is ready for JSON.

    `loss` is the criterion's, `sample_losses` (losses, weights), (N,) each, its parts. With a `temperature` the ranking
    and the calibration are of the calibrated probabilities; `fitted_here` says that these images chose it, and then
    the calibration is cross-fitted. `intervals` has (low, high) of every number, null where there is none, and
    `interval_methods` says how each came to be. Top-1 does not depend on the temperature.

    A number that is not defined (no images, one class only, a loss that is not finite) is None, never NaN.
    Raises:
        WorkFailed: some log-probabilities are NaN or +infinity.
    """
    scores = np.asarray(log_probabilities, dtype=np.float64)
    truth = np.asarray(targets, dtype=np.int64)
    num_samples, num_classes = scores.shape
    assert truth.shape == (num_samples,)
    assert len(class_names) == num_classes
    assert num_samples == 0 or (truth.min() >= 0 and truth.max() < num_classes)
    _refuse_not_numbers(scores)
    predictions = scores.argmax(axis=1)
    num_right = int((predictions == truth).sum())
    confusion = np.bincount(truth * num_classes + predictions, minlength=num_classes**2).reshape(num_classes, -1)
    top_k, top_k_intervals = _top_k(scores, truth)
    numbers, intervals, per_class = averages(confusion, class_names)
    ranks, rank_intervals = ranking(tempered(scores, temperature), truth)
    accuracy_interval = list(wilson(num_right, num_samples))
    return {
        "accuracy": num_right / num_samples if num_samples else None,
        "accuracy_interval": accuracy_interval,
        "num_samples": num_samples,
        "loss": float(loss) if loss is not None and math.isfinite(loss) else None,
        "top_k": top_k,
        **numbers,
        **ranks,
        "intervals": {
            "accuracy": accuracy_interval,
            "loss": _loss_interval(loss, sample_losses),
            "top_k": top_k_intervals,
            **intervals,
            **rank_intervals,
        },
        "interval_methods": METHODS,
        "per_class": per_class,
        "confusion_matrix": [[int(count) for count in row] for row in confusion],
        "calibration": _calibration(scores, truth, temperature, fitted_here),
    }


def _refuse_not_numbers(scores: npt.NDArray[np.float64]) -> None:
    """Raise WorkFailed for NaN or +infinity; argmax would take either for the answer."""
    bad = int((np.isnan(scores) | np.isposinf(scores)).any(axis=1).sum())
    if bad:
        raise WorkFailed(
            f"the model's log-probabilities are not numbers for {bad} of {len(scores)} images; "
            "expected finite values: train again with a lower optimizer.lr or with gradient clipping"
        )


def _top_k(scores: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fraction of images whose target is among the k likeliest classes, for each k < K, and intervals."""
    num_samples, num_classes = scores.shape
    of_target = np.take_along_axis(scores, targets[:, None], axis=1)
    earlier = np.arange(num_classes) < targets[:, None]
    # Among equals the lower class comes first, as with argmax, so that top 1 would be the accuracy.
    rank = ((scores > of_target) | ((scores == of_target) & earlier)).sum(axis=1)
    found = {str(k): int((rank < k).sum()) for k in TOP_K if num_classes > k}
    values = {k: number / num_samples if num_samples else None for k, number in found.items()}
    return values, {k: list(wilson(number, num_samples)) for k, number in found.items()}


def _loss_interval(loss: float | None, sample_losses: SampleLosses | None) -> list[float] | None:
    """Return the interval of a loss that is the weighted mean of the images' own; None where it is not."""
    if sample_losses is None or loss is None or not len(sample_losses[0]) or not math.isfinite(loss):
        return None
    losses, weights = sample_losses
    if not np.isclose(losses.sum() / weights.sum(), loss, rtol=0.01):
        return None  # bf16 may differ a little; more means that the criterion is something else
    means = resampled_means(np.column_stack([losses, weights]))
    influences = (losses - loss * weights) / weights.mean()
    return bca(means[:, 0] / means[:, 1], loss, influences)


def _calibration(
    scores: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], temperature: float | None, fitted_here: bool
) -> dict[str, Any]:
    """Return the calibration of what is shown, and, where there is a temperature, `before` it."""
    if temperature is None:
        return {"temperature": None, "how": "the network's own probabilities", **calibration(scores, targets)}
    before = calibration(scores, targets, with_intervals=False)  # a second bootstrap would take as long as the first
    shown = cross_fitted(scores, targets) if fitted_here else tempered(scores, temperature)
    how = "5-fold cross-fitted: each fifth under the temperature of the others" if fitted_here else "fitted on val"
    return {"temperature": temperature, "how": how, **calibration(shown, targets), "before": before}
