"""The numbers that judge a classifier, from its log-probabilities and the targets; scikit-learn does the arithmetic."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    average_precision_score,
    precision_recall_fscore_support,
    recall_score,
    roc_auc_score,
)

from netwright.errors import WorkFailed
from netwright.evaluation.intervals import wilson

TOP_K = (3, 5)


def classification_metrics(
    log_probabilities: npt.NDArray[np.floating[Any]],
    targets: npt.NDArray[np.integer[Any]],
    class_names: tuple[str, ...],
    *,
    loss: float | None = None,
) -> dict[str, Any]:
    """Judge log-probabilities (N, K) against targets (N,) int; the result is ready for JSON.

    A number that is not defined (no images, one class only, a loss that is not finite) is None, never NaN.
    Macro averages of precision, recall and F1 are over the classes that occur in targets or predictions
    (scikit-learn's default), those of ROC-AUC (one versus rest) and of average precision, and balanced accuracy,
    over the classes that occur in targets. With two classes `roc_auc` is that of class 1.

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
    return {
        "accuracy": num_right / num_samples if num_samples else None,
        "accuracy_interval": list(wilson(num_right, num_samples)),
        "num_samples": num_samples,
        "loss": float(loss) if loss is not None and math.isfinite(loss) else None,
        "top_k": _top_k(scores, truth),
        **_averages(truth, predictions),
        **_ranking(scores, truth),
        "per_class": _per_class(truth, predictions, class_names),
        "confusion_matrix": _confusion(truth, predictions, num_classes),
    }


def _refuse_not_numbers(scores: npt.NDArray[np.float64]) -> None:
    """Raise WorkFailed for NaN or +infinity; argmax would take either for the answer."""
    bad = int((np.isnan(scores) | np.isposinf(scores)).any(axis=1).sum())
    if bad:
        raise WorkFailed(
            f"the model's log-probabilities are not numbers for {bad} of {len(scores)} images; "
            "expected finite values: train again with a lower optimizer.lr or with gradient clipping"
        )


def _top_k(scores: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> dict[str, float | None]:
    """Return the fraction of images whose target is among the k most probable classes, for each k < K."""
    num_samples, num_classes = scores.shape
    of_target = np.take_along_axis(scores, targets[:, None], axis=1)
    earlier = np.arange(num_classes) < targets[:, None]
    # Among equals the lower class comes first, as with argmax, so that top 1 would be the accuracy.
    rank = ((scores > of_target) | ((scores == of_target) & earlier)).sum(axis=1)
    return {str(k): float((rank < k).mean()) if num_samples else None for k in TOP_K if num_classes > k}


def _averages(targets: npt.NDArray[np.int64], predictions: npt.NDArray[np.int64]) -> dict[str, float | None]:
    """Return balanced accuracy and the macro and weighted averages of precision, recall and F1."""
    names = [f"{metric}_{average}" for average in ("macro", "weighted") for metric in ("precision", "recall", "f1")]
    if not len(targets):
        return dict.fromkeys(["balanced_accuracy", *names])
    # balanced_accuracy_score warns about classes that are predicted only; this is its definition without the warning.
    balanced = recall_score(targets, predictions, labels=np.unique(targets), average="macro", zero_division=0)
    values: list[float] = []
    for average in ("macro", "weighted"):
        values += precision_recall_fscore_support(targets, predictions, average=average, zero_division=0)[:3]
    return {"balanced_accuracy": float(balanced), **{n: float(v) for n, v in zip(names, values, strict=True)}}


def _ranking(scores: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> dict[str, float | None]:
    """Return ROC-AUC and average precision, None where one of them is not defined."""
    if scores.shape[1] == 2:
        # The difference orders as the probability does and has no ties where float32 rounds probabilities to 1.
        # A class of probability exactly 0 makes it infinite, which scikit-learn refuses: keep the order, stay finite.
        first, second = _finite(scores).T
        scores = np.stack([first - second, second - first], axis=1)
    scores = _finite(scores)
    present = np.unique(targets)
    hits = [(targets == number, scores[:, number]) for number in present]
    areas = [roc_auc_score(hit, score) for hit, score in hits] if len(present) > 1 else []
    precisions = [average_precision_score(hit, score) for hit, score in hits]
    return {
        "roc_auc": float(np.mean(areas)) if areas else None,
        "average_precision": float(np.mean(precisions)) if precisions else None,
    }


def _finite(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Replace -infinity by a number below every float32, and so below every other log-probability."""
    return np.maximum(scores, -1e39)


def _per_class(
    targets: npt.NDArray[np.int64], predictions: npt.NDArray[np.int64], class_names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return precision, recall, F1 (0 where not defined) and the number of images, one record a class."""
    if not len(targets):
        return [{"label": n, "precision": None, "recall": None, "f1": None, "num_samples": 0} for n in class_names]
    columns = precision_recall_fscore_support(
        targets, predictions, labels=np.arange(len(class_names)), average=None, zero_division=0
    )
    return [
        {"label": n, "precision": float(p), "recall": float(r), "f1": float(f), "num_samples": int(s)}
        for n, p, r, f, s in zip(class_names, *columns, strict=True)
    ]


def _confusion(targets: npt.NDArray[np.int64], predictions: npt.NDArray[np.int64], num_classes: int) -> list[list[int]]:
    """Return counts (K, K), one row a target, one column a prediction."""
    counts = np.bincount(targets * num_classes + predictions, minlength=num_classes**2)
    return [[int(count) for count in row] for row in counts.reshape(num_classes, num_classes)]
