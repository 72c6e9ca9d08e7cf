"""Classification metrics against direct calls of scikit-learn and values worked by hand."""

import json
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.errors import WorkFailed
from netwright.evaluation.metrics import classification_metrics

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def made(num_samples: int, num_classes: int, seed: int = 0, dtype: Any = np.float64) -> tuple[Floats, Ints]:
    """Return log-probabilities (N, K) of a mediocre classifier, and targets (N,)."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, num_classes, num_samples)
    logits = random.normal(size=(num_samples, num_classes))
    logits[np.arange(num_samples), targets] += 1.0
    shifted = logits - logits.max(axis=1, keepdims=True)
    return (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))).astype(dtype), targets


def names(num_classes: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(num_classes))


@pytest.mark.parametrize("num_classes", [3, 6, 10])
def test_equals_scikit_learn(num_classes: int) -> None:
    scores, targets = made(400, num_classes)
    got = classification_metrics(scores, targets, names(num_classes), loss=0.5)
    predictions, probabilities = scores.argmax(1), np.exp(scores)
    every = np.arange(num_classes)
    assert got["accuracy"] == sk.accuracy_score(targets, predictions)
    assert got["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(targets, predictions))
    for average in ("macro", "weighted"):
        assert got[f"precision_{average}"] == pytest.approx(sk.precision_score(targets, predictions, average=average))
        assert got[f"recall_{average}"] == pytest.approx(sk.recall_score(targets, predictions, average=average))
        assert got[f"f1_{average}"] == pytest.approx(sk.f1_score(targets, predictions, average=average))
    assert got["roc_auc"] == pytest.approx(sk.roc_auc_score(targets, probabilities, multi_class="ovr"))
    one_hot = targets[:, None] == every
    assert got["average_precision"] == pytest.approx(sk.average_precision_score(one_hot, probabilities))
    assert got["confusion_matrix"] == sk.confusion_matrix(targets, predictions).tolist()
    assert got["top_k"].keys() == {str(k) for k in (3, 5) if k < num_classes}
    for k, value in got["top_k"].items():
        assert value == pytest.approx(sk.top_k_accuracy_score(targets, probabilities, k=int(k), labels=every))
    columns = sk.precision_recall_fscore_support(targets, predictions)
    for record, *expected in zip(got["per_class"], *columns, strict=True):
        assert [record[key] for key in ("precision", "recall", "f1", "num_samples")] == pytest.approx(expected)
    assert (got["loss"], got["num_samples"]) == (0.5, 400)


def test_two_classes_judge_class_one() -> None:
    scores, targets = made(200, 2)
    got = classification_metrics(scores, targets, ("no", "yes"))
    assert got["roc_auc"] == pytest.approx(sk.roc_auc_score(targets, np.exp(scores[:, 1])))
    each = [sk.average_precision_score(targets == k, np.exp(scores[:, k])) for k in (0, 1)]
    assert got["average_precision"] == pytest.approx(np.mean(each))
    assert got["top_k"] == {}


def test_values_worked_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]])
    got = classification_metrics(np.log(probabilities), np.array([0, 0, 1, 2]), ("a", "b", "c"))
    assert got["confusion_matrix"] == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert got["accuracy"] == 0.5
    assert got["accuracy_interval"] == pytest.approx([0.150039, 0.849961], abs=1e-6)
    assert got["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert got["precision_macro"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert got["precision_weighted"] == pytest.approx((2 * 1 / 2 + 1 / 2 + 0) / 4)
    second = {"label": "b", "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "num_samples": 1}
    assert got["per_class"][1].items() >= second.items()
    # a: 0.7 and 0.4 against 0.6 and 0.1 win 3 of 4 pairs; b: wins all 3; c: three ties count a half.
    assert got["roc_auc"] == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)


def test_certain_answers_keep_their_order() -> None:
    # Both round to probability 1 and 0 in float32; only the logarithms still tell them apart.
    scores = np.array([[-90.0, 0.0], [-80.0, 0.0], [0.0, -80.0], [0.0, -90.0]], dtype=np.float32)
    got = classification_metrics(scores, np.array([1, 0, 1, 0]), ("a", "b"))
    assert got["roc_auc"] == pytest.approx(3 / 4)


def test_equal_scores_break_as_argmax_does() -> None:
    got = classification_metrics(np.full((6, 6), np.log(1 / 6)), np.arange(6), names(6))
    assert got["accuracy"] == pytest.approx(1 / 6)
    assert got["top_k"] == {"3": pytest.approx(3 / 6), "5": pytest.approx(5 / 6)}


def test_impossible_classes_are_allowed() -> None:
    scores = np.array([[0.0, -np.inf], [-np.inf, 0.0], [0.0, -np.inf]])
    got = classification_metrics(scores, np.array([0, 1, 0]), ("a", "b"))
    assert (got["accuracy"], got["roc_auc"], got["average_precision"]) == (1.0, 1.0, 1.0)


def test_no_images_leave_everything_open() -> None:
    got = classification_metrics(np.zeros((0, 4)), np.zeros(0, np.int64), names(4))
    assert (got["accuracy"], got["f1_macro"], got["roc_auc"], got["top_k"]) == (None, None, None, {"3": None})
    assert got["accuracy_interval"] == [0.0, 1.0]
    assert len(got["per_class"]) == 4
    assert got["confusion_matrix"] == [[0] * 4] * 4


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    scores, targets = made(5, 3)
    scores[[1, 3], 2] = bad
    with pytest.raises(WorkFailed, match="2 of 5 images"):
        classification_metrics(scores, targets, names(3))


@pytest.mark.parametrize("loss", [None, float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_null(loss: float | None) -> None:
    assert classification_metrics(*made(5, 3), names(3), loss=loss)["loss"] is None


def test_float32_gives_what_float64_gives() -> None:
    scores, targets = made(300, 10, dtype=np.float32)
    single = classification_metrics(scores, targets, names(10))
    assert single == classification_metrics(scores.astype(np.float64), targets, names(10))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 10_000), st.integers(1, 8))
def test_edges_are_quiet_and_ready_for_json(num_samples: int, num_classes: int, seed: int, seen: int) -> None:
    scores, targets = made(num_samples, num_classes, seed)
    targets = np.minimum(targets, seen - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = classification_metrics(scores, targets, names(num_classes), loss=1.0)
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    for name, interval in got["intervals"].items():
        if name != "top_k" and interval is not None:
            assert interval[0] - 1e-9 <= interval[1], name
    assert sum(map(sum, got["confusion_matrix"])) == num_samples
    assert sum(record["num_samples"] for record in got["per_class"]) == num_samples
    assert (got["roc_auc"] is None) == (len(np.unique(targets)) == 1)
    low, high = got["accuracy_interval"]
    assert low <= got["accuracy"] <= high
    tops = [got["accuracy"], *got["top_k"].values()]
    assert tops == sorted(tops)
    present = [record["recall"] for record in got["per_class"] if record["num_samples"]]
    assert got["balanced_accuracy"] == pytest.approx(np.mean(present))
