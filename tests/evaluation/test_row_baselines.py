"""Other models beside a network for rows: scikit-learn's own on the same split, and what is said of them."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from netwright.config.recipe import Recipe
from netwright.data.labelled import LabelledData, RowImages
from netwright.data.prepare import PreparedData, prepare
from netwright.evaluation.row_baselines import row_baselines
from netwright.workflows.judging_rows import verdicts

ROWS = {"train": np.arange(300), "val": np.arange(300, 400)}


@pytest.fixture(scope="module")
def prepared() -> PreparedData:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 400))
    targets = ((first * second > 0) ^ (random.random(400) < 0.05)).astype(np.int64)
    images = RowImages({"a": first, "b": second}, {"a": "number", "b": "number"})
    names = [f"line {row}" for row in range(400)]
    labelled = LabelledData("xor", ("no", "yes"), images, targets, names, {"all": np.arange(400)})
    return prepare(labelled, ROWS, Recipe())


def test_they_are_scikit_learns_on_the_same_rows(prepared: PreparedData) -> None:
    features, targets = prepared.store.pixels[:, 0, 0].numpy(), prepared.labelled.targets
    guesses = np.zeros(100, dtype=np.int64)
    found = row_baselines(prepared, "val", prepared, guesses)
    train, val = ROWS["train"], ROWS["val"]
    linear = LogisticRegression(max_iter=1000).fit(features[train], targets[train])
    trees = HistGradientBoostingClassifier(random_state=0).fit(features[train], targets[train])
    assert found["linear"]["accuracy"] == pytest.approx(linear.score(features[val], targets[val]))
    assert found["boosting"]["accuracy"] == pytest.approx(trees.score(features[val], targets[val]))
    assert found["boosting"]["verdict"] == "worse"  # guessing is, than trees that know the product
    even = row_baselines(prepared, "val", prepared, trees.predict(features[val]))
    assert (even["boosting"]["difference"], even["boosting"]["verdict"]) == (0.0, "even")


def test_numbers_are_compared_by_their_squared_errors(prepared: PreparedData) -> None:
    numbers = prepared.labelled.targets * 10.0
    labelled = dataclasses.replace(prepared.labelled, task="regression", class_names=(), targets=numbers)
    made = dataclasses.replace(prepared, labelled=labelled)
    found = row_baselines(made, "val", made, numbers[ROWS["val"]])
    assert found["boosting"]["verdict"] == "better"
    assert found["boosting"]["difference"] == pytest.approx(1 - found["boosting"]["r2"], abs=1e-6)


@pytest.mark.parametrize(
    ("metrics", "texts"),
    [
        ({"accuracy_interval": [0.4, 0.6], "baselines": {"majority": {"accuracy": 0.55, "label": "no"}}},
         ["There is nothing to see: always saying 'no' does as well (55.0 %, inside the interval)."]),
        ({"accuracy_interval": [0.7, 0.9], "baselines": {"majority": {"accuracy": 0.55, "label": "no"}}}, []),
        ({"accuracy_interval": [0.47, 0.62], "num_samples": 10,
          "baselines": {"majority": {"accuracy": 0.4, "label": "no"}},
          "per_class": [{"label": "no", "num_samples": 4}, {"label": "yes", "num_samples": 6}]},
         ["There is nothing to see: always saying 'yes' does as well (60.0 %, inside the interval)."]),
        ({"r2": 0.1, "r2_interval": [-0.2, 0.3]}, ["There is nothing to see: always saying the mean does as well."]),
        ({"accuracy_interval": [0.7, 0.9], "baselines": {"boosting": {
            "verdict": "worse", "difference": -0.04, "difference_interval": [-0.07, -0.01]}}},
         ["Boosted trees are better on the same rows, by 4 points (1 to 7): use them, or find what they see."]),
    ],
)  # fmt: skip
def test_what_is_said_in_words(metrics: dict[str, Any], texts: list[str]) -> None:
    assert verdicts(metrics) == texts
