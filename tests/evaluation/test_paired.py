"""Masks and numbers of two networks compared: by scikit-learn's scores, SciPy's permutation test, and what is known."""

import numpy as np
import pytest
from scipy.stats import permutation_test
from sklearn.metrics import f1_score, mean_absolute_error, root_mean_squared_error

from netwright.evaluation.paired import compare_masks, compare_numbers

Masks = np.ndarray


def confusions(truth: Masks, said: Masks, num_classes: int = 2) -> Masks:
    cells = truth * num_classes + said
    return np.stack([np.bincount(each.ravel(), minlength=num_classes**2) for each in cells]).reshape(
        len(truth), num_classes, num_classes
    )


def noisy(random: np.random.Generator, truth: Masks, wrong: np.ndarray) -> Masks:
    return np.where(random.random(truth.shape) < wrong[:, None, None], 1 - truth, truth)


def test_masks_are_compared_as_scikit_learn_and_scipy_do() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((9, 12, 12)) < 0.3).astype(np.int64)
    first, second = (noisy(random, truth, random.uniform(low, 0.3, 9)) for low in (0.1, 0.05))
    sides = [confusions(truth, said) for said in (first, second)]
    found = compare_masks(*sides)
    dice = [f1_score(truth.ravel(), said.ravel(), average="macro") for said in (first, second)]
    assert found["mean_dice_of"] == pytest.approx(dice)
    assert found["mean_dice_difference"] == pytest.approx(dice[1] - dice[0])
    assert found["accuracy_of"] == pytest.approx([(said == truth).mean() for said in (first, second)])
    low, high = found["mean_dice_difference_interval"]
    assert low < found["mean_dice_difference"] < high
    each = [[f1_score(t.ravel(), s.ravel(), average="macro") for t, s in zip(truth, said, strict=True)]
            for said in (first, second)]  # fmt: skip
    assert found["only_second_better"] == (np.array(each[1]) > np.array(each[0])).sum()

    def difference(
        one: np.ndarray, two: np.ndarray
    ) -> float:  # of images by their numbers: 0 to 8 first, 9 to 17 second
        everything = np.concatenate([first, second])
        scores = [f1_score(truth.ravel(), everything[rows.astype(int)].ravel(), average="macro") for rows in (one, two)]
        return float(scores[1] - scores[0])

    known = permutation_test(
        (np.arange(9.0), np.arange(9.0) + 9), difference, permutation_type="samples", n_resamples=np.inf
    )
    assert found["probability"] == pytest.approx(known.pvalue)


def test_few_images_can_not_tell_and_many_can() -> None:
    random = np.random.default_rng(1)
    truth = (random.random((40, 20, 20)) < 0.5).astype(np.int64)
    better, worse = noisy(random, truth, np.full(40, 0.05)), noisy(random, truth, np.full(40, 0.2))
    few = compare_masks(confusions(truth[:5], worse[:5]), confusions(truth[:5], better[:5]))
    assert few["mean_dice_difference_interval"][0] > 0  # an interval alone would say that they differ
    assert few["probability"] == pytest.approx(2 / 2**5)
    assert not few["distinguishable"]
    many = compare_masks(confusions(truth, worse), confusions(truth, better))
    assert many["distinguishable"]
    assert many["probability"] < 0.001
    same = compare_masks(confusions(truth, worse), confusions(truth, worse))
    assert (same["probability"], same["distinguishable"]) == (1.0, False)


@pytest.mark.parametrize("num", [10, 300])
def test_numbers_are_compared_as_scikit_learn_and_scipy_do(num: int) -> None:
    random = np.random.default_rng(2)
    targets = random.normal(0, 5, num)
    first, second = targets + random.normal(0, 1.2, num), targets + random.normal(0, 1, num)
    found = compare_numbers(first, second, targets)
    assert found["mae_of"] == pytest.approx([mean_absolute_error(targets, said) for said in (first, second)])
    assert found["rmse_of"] == pytest.approx([root_mean_squared_error(targets, said) for said in (first, second)])
    errors = np.abs(first - targets), np.abs(second - targets)
    known = permutation_test(
        errors,
        lambda one, two, axis: two.mean(axis=axis) - one.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(3),
    )
    assert found["probability"] == pytest.approx(known.pvalue, abs=0.012 if num > 13 else 1e-9)


def test_the_interval_covers_and_the_test_keeps_its_level() -> None:
    """200 pairs of sets of 30 with a known difference in mean absolute error, and 200 without any."""
    random = np.random.default_rng(4)
    inside = wrong = 0
    truth = (1.0 - 1.3) * np.sqrt(2 / np.pi)
    for _ in range(200):
        noise = random.normal(0, 1, (2, 30))
        low, high = compare_numbers(1.3 * noise[0], noise[1], np.zeros(30))["mae_difference_interval"]
        inside += low <= truth <= high
        wrong += compare_numbers(noise[0], noise[1], np.zeros(30))["distinguishable"]
    assert inside >= 180  # 95 % less three standard errors
    assert wrong <= 20  # 5 % and three standard errors
