"""The linear model that a network for rows begins as, against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from netwright.config.models import TabularMlp
from netwright.config.optimization import BceWithLogits, CrossEntropy, Mse
from netwright.models import build_model
from netwright.models.row_output import begin_as_linear
from netwright.models.tabular_mlp import TabularNetwork
from netwright.tasks.task import TrainTargets
from netwright.training.linear_start import linear_solution

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(300, 5)).astype(np.float32)
FEATURES = (FEATURES - FEATURES.mean(0)) / FEATURES.std(0)  # as rows are read


def test_numbers_begin_as_ridge() -> None:
    numbers = 1000 + 30 * FEATURES[:, 0] - 7 * FEATURES[:, 3] + RANDOM.normal(0, 20, 300)
    train = TrainTargets(mean=float(numbers.mean()), std=float(numbers.std()))
    found = linear_solution(torch.from_numpy(FEATURES), torch.from_numpy(numbers), train, Mse(), 1)
    assert found is not None
    expected = Ridge(alpha=1.0).fit(FEATURES, (numbers - train.mean) / train.std)
    np.testing.assert_allclose(found[0][0], expected.coef_, atol=1e-5)
    np.testing.assert_allclose(found[1][0], expected.intercept_, atol=1e-5)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("num_outputs", [1, 2, 3])
def test_classes_begin_as_logistic_regression(num_outputs: int, balanced: bool) -> None:
    num_classes = max(2, num_outputs)
    scores = FEATURES @ RANDOM.normal(size=(5, num_classes)) + RANDOM.normal(size=(300, num_classes))
    targets = torch.from_numpy(scores.argmax(axis=1))
    names = tuple("abc"[:num_classes])
    train = TrainTargets(names, torch.bincount(targets, minlength=num_classes))
    criterion = (BceWithLogits if num_outputs == 1 else CrossEntropy)(class_weights="balanced" if balanced else None)
    found = linear_solution(torch.from_numpy(FEATURES), targets, train, criterion, num_outputs)
    assert found is not None
    # with two classes scikit-learn's penalty is on one vector, half of which each of our two classes has
    strength = 2.0 if num_classes == 2 else 1.0
    expected = LogisticRegression(
        C=strength, tol=1e-8, max_iter=5000, class_weight="balanced" if balanced else None
    ).fit(FEATURES, targets)
    network = build_model(
        TabularMlp(hidden_sizes=(8,)), in_channels=5, image_size=(1, 1), num_outputs=num_outputs, output="logits"
    )
    assert isinstance(network, TabularNetwork)
    begin_as_linear(network, *found)
    outputs = network.eval()(torch.from_numpy(FEATURES)).detach()
    said = torch.sigmoid(outputs[:, 0]) if num_outputs == 1 else outputs.softmax(dim=1)[:, 1]
    np.testing.assert_allclose(said, expected.predict_proba(FEATURES)[:, 1], atol=2e-4)
