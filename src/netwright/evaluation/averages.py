"""Precision, recall, F1 and their averages, from counts; scikit-learn's definitions, for many resamples at once."""

from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.evaluation.intervals import wilson
from netwright.evaluation.resampling import Floats, resampled_counts, wilson_of_resampled

Ints = npt.NDArray[np.int64]
_NUMBERS = ("precision", "recall", "f1")


def averages(confusion: Ints, class_names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    """Return the averages, their intervals, and one record a class, of counts (K, K), rows the true classes.

    Macro precision, recall and F1 are means over the classes that occur in targets or predictions, balanced accuracy
    over those in targets; what is not defined counts 0. Without images all is None. Recall and precision of a class are
    fractions and have Wilson's interval, the others the bootstrap's; where every answer is right resampling knows no
    error, and the low end of the accuracy's Wilson interval stands in."""
    of_class, taken_for = confusion.sum(axis=1), confusion.sum(axis=0)
    right = np.diag(confusion)
    one = _scores(of_class[None].astype(float), taken_for[None].astype(float), right[None].astype(float))
    total = int(confusion.sum())
    names = [name for name in one if not name.startswith("class_")]
    if not total:
        empty: list[Any] = [
            {
                "label": label,
                **dict.fromkeys(_NUMBERS),
                "num_samples": 0,
                **{f"{name}_interval": None for name in _NUMBERS},
            }
            for label in class_names
        ]
        return dict.fromkeys(names), dict.fromkeys(names), empty
    many = _scores(*resampled_counts(confusion))
    all_right = int(right.sum()) == total
    bound = [wilson(total, total)[0], 1.0]
    intervals = {name: bound if all_right else wilson_of_resampled(many[name], float(one[name][0])) for name in names}
    f1_ends = np.quantile(many["class_f1"], [0.025, 0.975], axis=0).T
    records = []
    for place, label in enumerate(class_names):
        record: dict[str, Any] = {"label": label}
        record |= {name: float(one[f"class_{name}"][0, place]) for name in _NUMBERS}
        record["num_samples"] = int(of_class[place])
        record["precision_interval"] = _fraction(right[place], taken_for[place])
        record["recall_interval"] = _fraction(right[place], of_class[place])
        record["f1_interval"] = _f1_interval(record, [float(end) for end in f1_ends[place]])
        records.append(record)
    return {name: float(one[name][0]) for name in names}, intervals, records


def _fraction(part: np.int64, whole: np.int64) -> list[float] | None:
    return list(wilson(int(part), int(whole))) if whole else None


def _f1_interval(record: dict[str, Any], ends: list[float]) -> list[float] | None:
    """Return the bootstrap's ends; recall's and precision's where all or nothing is right."""
    known = [record[key] for key in ("precision_interval", "recall_interval") if record[key] is not None]
    if not known:
        return None
    if record["f1"] == 1:
        return [min(low for low, _ in known), 1.0]
    return ends if record["f1"] > 0 else [0.0, max(high for _, high in known)]


def _scores(of_class: Floats, taken_for: Floats, right: Floats) -> dict[str, Floats]:
    """Return each average (B,), and `class_precision`, `class_recall`, `class_f1` (B, K), from counts (B, K)."""
    precision = right / np.maximum(taken_for, 1)
    recall = right / np.maximum(of_class, 1)
    f1 = 2 * right / np.maximum(of_class + taken_for, 1)
    seen, present = of_class + taken_for > 0, of_class > 0
    total = np.maximum(of_class.sum(axis=1), 1)
    scores = {"balanced_accuracy": (recall * present).sum(axis=1) / np.maximum(present.sum(axis=1), 1)}
    each = {"precision": precision, "recall": recall, "f1": f1}
    for name, values in each.items():
        scores[f"{name}_macro"] = (values * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    for name, values in each.items():
        scores[f"{name}_weighted"] = (values * of_class).sum(axis=1) / total
    return scores | {f"class_{name}": values for name, values in each.items()}
