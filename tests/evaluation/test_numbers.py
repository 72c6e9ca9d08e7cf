"""A regression's metrics against scikit-learn, and how often their intervals hold the truth."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score, root_mean_squared_error

from netwright.errors import WorkFailed
from netwright.evaluation.numbers import mean_baseline, number_metrics


def test_metrics_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(1e6, 3.0, 200)  # far from 0, where squares of float32 would lose all
    said = truth + random.standard_t(4, 200)
    found = number_metrics(said, truth, loss=0.25)
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, said))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(truth, said))
    assert found["r2"] == pytest.approx(r2_score(truth, said))
    assert found["median_error"] == pytest.approx(median_absolute_error(truth, said))
    assert found["bias"] == pytest.approx((said - truth).mean())
    for name in ("mae", "rmse", "r2", "median_error", "bias"):
        low, high = found["intervals"][name]
        assert low < found[name] < high
    mean = mean_baseline(truth, 1e6)
    assert mean["r2"] == pytest.approx(r2_score(truth, np.full(200, 1e6)))


def test_the_intervals_of_median_and_mean_error_are_scipys() -> None:
    random = np.random.default_rng(3)
    truth = random.normal(size=150)
    errors = random.gamma(2.0, 1.0, 150) - 1.0  # skewed
    found = number_metrics(truth + errors, truth)["intervals"]
    median = stats.quantile_test(np.abs(errors), p=0.5).confidence_interval(0.95)
    assert found["median_error"] == pytest.approx([median.low, median.high])
    mean = stats.bootstrap((errors,), np.mean, n_resamples=20_000, random_state=0).confidence_interval
    width = mean.high - mean.low
    assert found["bias"] == pytest.approx([mean.low, mean.high], abs=0.07 * width)  # 1,000 resamples: ± 3 % an end
    assert number_metrics(truth[:5] + errors[:5], truth[:5])["intervals"]["median_error"] is None  # 5 say too little


def test_what_is_not_defined_is_none() -> None:
    equal = number_metrics(np.array([1.0, 2.0]), np.array([3.0, 3.0]))
    assert equal["r2"] is None
    assert equal["mae"] == 1.5
    assert number_metrics(np.array([]), np.array([]))["mae"] is None
    with pytest.raises(WorkFailed, match="not finite for 1 of 2"):
        number_metrics(np.array([1.0, np.inf]), np.array([1.0, 2.0]))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    held = dict.fromkeys(("mae", "rmse", "r2", "median_error", "bias"), 0)
    truth_of = {
        "mae": np.sqrt(2 / np.pi),
        "rmse": 1.0,
        "r2": 0.75,
        "median_error": stats.norm.ppf(0.75),
        "bias": 0.0,
    }  # errors N(0, 1), targets N(0, 4)
    rounds = 60
    for _ in range(rounds):
        truth = random.normal(0, 2.0, 100)
        found = number_metrics(truth + random.normal(0, 1.0, 100), truth)
        for name, value in truth_of.items():
            low, high = found["intervals"][name]
            held[name] += low <= value <= high
    assert all(0.85 * rounds <= number for number in held.values()), held
