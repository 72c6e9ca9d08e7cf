"""Regression: criteria between standardised numbers, errors in the targets' unit."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, root_mean_squared_error
from torch.nn import functional

from netwright.config.optimization import Criterion, CrossEntropy, CustomCriterion, Huber, Mae, Mse
from netwright.config.recipe import build_recipe, with_task
from netwright.errors import RecipeError
from netwright.tasks.regression import build_number_loss, build_regression
from netwright.tasks.task import TrainTargets

CPU = torch.device("cpu")
TRAIN = TrainTargets(mean=200.0, std=50.0)
TARGETS = torch.tensor([150.0, 200.0, 330.0])
OUTPUTS = torch.tensor([[-1.5], [0.2], [0.4]])


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (Mse(), functional.mse_loss),
        (Mae(), functional.l1_loss),
        (Huber(delta=0.7), lambda said, true: functional.huber_loss(said, true, delta=0.7)),
    ],
)
def test_criteria_compare_in_standard_deviations_of_train(criterion: Criterion, expected: object) -> None:
    loss, weight = build_number_loss(criterion, TRAIN, CPU)(OUTPUTS, TARGETS)
    assert weight == 3
    torch.testing.assert_close(loss, expected(OUTPUTS[:, 0], (TARGETS - 200) / 50))  # type: ignore[operator]


def test_the_users_own_criterion_gets_two_rows_of_numbers() -> None:
    loss, _ = build_number_loss(CustomCriterion(), TRAIN, CPU, lambda said, true: (said - true).abs().max())(
        OUTPUTS, TARGETS
    )
    assert float(loss) == pytest.approx(2.6 - 0.4)


def test_numbers_are_in_the_targets_unit() -> None:
    task = build_regression(Mse(), TRAIN)
    said = task.answers(OUTPUTS)
    np.testing.assert_allclose(said, [125.0, 210.0, 220.0])
    found = task.numbers(task.count(OUTPUTS, TARGETS).tolist(), 3)
    assert found["mae"] == pytest.approx(mean_absolute_error(TARGETS, said))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(TARGETS, said))
    assert tuple(found) == task.recorded


def test_a_recipe_takes_the_criterion_of_its_task_and_refuses_what_is_for_classes() -> None:
    assert with_task(build_recipe({}), "regression").criterion == Mse()
    assert with_task(build_recipe({}), "classification").criterion == CrossEntropy()
    assert with_task(build_recipe({"criterion": "huber"}), "regression").criterion == Huber()
    wrong = [
        ({"criterion": {"name": "cross_entropy", "label_smoothing": 0.1}}, "not for regression; use mse, mae, huber"),
        ({"training": {"sampling": "balanced"}}, "`training.sampling` is for one class an image"),
        ({"augmentation": ["mixup"]}, "mixes images"),
    ]
    for recipe, text in wrong:
        with pytest.raises(RecipeError, match=text):
            with_task(build_recipe(recipe), "regression")
    with pytest.raises(RecipeError, match="the data are for classification"):
        with_task(build_recipe({"data": {"task": "regression"}}), "classification")
    with pytest.raises(RecipeError, match="'mse', which is not for classification"):
        with_task(build_recipe({"criterion": "mse"}), "classification")
