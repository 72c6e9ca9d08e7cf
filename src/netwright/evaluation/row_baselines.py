"""What other models make of the same rows and the same split: always the same answer, a linear model, boosted trees.

A network for rows has to be worth its trouble: gradient boosting is often better on tables (Grinsztajn et al., "Why do
tree-based models still outperform deep learning on typical tabular data?", NeurIPS 2022)."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from netwright.data.labelled import Array, Rows
from netwright.data.prepare import PreparedData
from netwright.evaluation.compare import paired_difference
from netwright.evaluation.intervals import wilson
from netwright.evaluation.numbers import number_metrics
from netwright.evaluation.resampling import resampled_means

MOST_TRAIN = 50_000  # rows: boosting takes 2 s for as many of 10 columns
MOST_CODES = 255  # of a category, which boosting takes as such; more are cut off


def row_baselines(prepared: PreparedData, split: str, train: PreparedData, answers: Array) -> dict[str, Any]:
    """Return `linear` and `boosting` with their metrics on a split, trained on the same rows as the network.

    `answers` are the network's on the split, in the order of its rows: classes (N,) or numbers (N,). `boosting` also
    has `difference`, the network's accuracy less its own (of numbers its squared error less the network's, over the
    targets' variance: the difference in R²), with a paired interval, and `verdict` on the network: better, worse, even.
    """
    rows = _some(train.rows["train"])
    known, targets = _features(train, rows), train.labelled.targets[rows]
    judged, truth = _features(prepared, prepared.rows[split]), prepared.labelled.targets[prepared.rows[split]]
    table = prepared.transform.table
    assert table is not None
    num_codes = len(table.category_sizes)
    of_numbers = not prepared.labelled.class_names
    linear, boosting = _models(
        of_numbers, known.shape[1], num_codes, [size > MOST_CODES for size in table.category_sizes]
    )
    wide = [_one_hot(part, table.category_sizes) for part in (known, judged)]
    said = {
        "linear": linear.fit(wide[0], targets).predict(wide[1]),
        "boosting": boosting.fit(known, targets).predict(judged),
    }
    found: dict[str, Any] = {}
    for name, predictions in said.items():
        found[name] = _numbers(predictions, truth) if of_numbers else _accuracy(predictions == truth)
        found[name]["num_train"] = len(rows)
    found["boosting"] |= _compared(answers, said["boosting"], truth, of_numbers)
    return found


def _models(of_numbers: bool, num_features: int, num_codes: int, too_many: list[bool]) -> tuple[Any, Any]:
    codes = np.zeros(num_features, dtype=bool)
    if num_codes:
        codes[-num_codes:] = ~np.array(too_many)
    settings = {"random_state": 0, "categorical_features": codes if codes.any() else None}
    if of_numbers:
        return Ridge(), HistGradientBoostingRegressor(**settings)
    return LogisticRegression(max_iter=1000), HistGradientBoostingClassifier(**settings)


def _features(prepared: PreparedData, rows: Rows) -> Array:
    return np.asarray(prepared.store.pixels[rows, 0, 0].numpy())


def _one_hot(features: Array, sizes: tuple[int, ...]) -> Array:
    if not sizes:
        return features
    parts = [features[:, : -len(sizes)]]
    for place, size in enumerate(sizes):
        codes = features[:, features.shape[1] - len(sizes) + place].astype(np.int64)
        parts.append(np.eye(size, dtype=np.float32)[codes][:, 1:])
    return np.column_stack(parts)


def _some(rows: Rows) -> Rows:
    if len(rows) <= MOST_TRAIN:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_TRAIN, replace=False))


def _accuracy(right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    number = int(right.sum())
    return {
        "accuracy": number / len(right) if len(right) else None,
        "accuracy_interval": list(wilson(number, len(right))),
        "num_samples": len(right),
    }


def _numbers(predictions: Array, truth: Array) -> dict[str, Any]:
    found = number_metrics(predictions, truth)
    return {key: found[key] for key in ("mae", "mae_interval", "rmse", "r2", "r2_interval", "num_samples")}


def _compared(ours: Array, other: Array, truth: Array, of_numbers: bool) -> dict[str, Any]:
    """Say whether the network is better than another model on the same rows, by a paired interval."""
    if not len(truth):
        return {}
    if of_numbers:
        gains = ((other - truth) ** 2 - (ours - truth) ** 2) / max(float(truth.var()), 1e-30)
        means = resampled_means(gains[:, None])[:, 0]
        difference, ends = float(gains.mean()), [float(end) for end in np.quantile(means, (0.025, 0.975))]
    else:
        right = ours == truth, other == truth
        won, lost = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        difference, ends = (won - lost) / len(truth), paired_difference(lost, won, len(truth))
    verdict = "better" if ends[0] > 0 else "worse" if ends[1] < 0 else "even"
    return {"difference": difference, "difference_interval": ends, "verdict": verdict}
