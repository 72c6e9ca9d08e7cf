"""Comparing two classifiers against SciPy; the best of several looks against known values and simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from netwright.evaluation.compare import compare_answers, mcnemar, paired_difference
from netwright.evaluation.optimism import best_of, expected_optimism


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (0, 1), (3, 9), (40, 40), (120, 170), (5000, 5300)])
def test_mcnemar_is_the_exact_binomial(only_first: int, only_second: int) -> None:
    total = only_first + only_second
    wanted = binomtest(only_first, total, 0.5).pvalue if total else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(wanted, rel=1e-9)
    assert mcnemar(only_second, only_first) == pytest.approx(wanted, rel=1e-9)


def answers(accuracies: tuple[float, float], num_samples: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    hardness = random.random(num_samples)
    first, second = (np.clip(hardness + 0.1 * random.normal(size=num_samples), 0, 1) < one for one in accuracies)
    return first, second


def test_the_difference_has_the_paired_bootstraps_interval() -> None:
    first, second = answers((0.80, 0.84))
    pairs = second.astype(float) - first
    reference = bootstrap((pairs,), np.mean, method="percentile", rng=np.random.default_rng(5)).confidence_interval
    losses = (1.0 - first, 1.0 - second)
    found = compare_answers((first, second), losses)
    assert found["accuracy_difference"] == pytest.approx(second.mean() - first.mean())
    assert found["accuracy_difference_interval"] == pytest.approx([reference.low, reference.high], abs=0.002)
    assert found["log_loss_difference"] == pytest.approx(first.mean() - second.mean())
    reference = bootstrap((losses[1] - losses[0],), np.mean, method="percentile", rng=np.random.default_rng(5))
    ends = reference.confidence_interval
    assert found["log_loss_difference_interval"] == pytest.approx([ends.low, ends.high], abs=0.003)
    assert found["distinguishable"]


def test_what_is_equal_is_not_distinguishable() -> None:
    first, _ = answers((0.8, 0.8))
    found = compare_answers((first, first), (1.0 - first, 1.0 - first))
    assert (found["distinguishable"], found["mcnemar"]) == (False, 1.0)
    low, high = found["accuracy_difference_interval"]
    assert -0.004 < low < 0 < high < 0.004  # no image of 1,000 tells them apart: one of the next 1,000 may


def test_equal_classifiers_are_rarely_called_different() -> None:
    """At most 5 % of the time, up to the chance of 400 trials; both halves of the rule are needed for that."""
    random = np.random.default_rng(0)
    called = 0
    for _ in range(400):
        only_first = int(random.binomial(30, 0.5))
        low, high = paired_difference(only_first, 30 - only_first, 500)
        called += mcnemar(only_first, 30 - only_first) < 0.05 and not low <= 0 <= high
    assert called / 400 < 0.08


@pytest.mark.parametrize(("num_samples", "shares"), [(500, (0.004, 0.004)), (100, (0.02, 0.02)), (500, (0.001, 0.03))])
def test_few_images_that_differ_keep_the_promise(num_samples: int, shares: tuple[float, float]) -> None:
    """95 %, up to the chance of 500 trials; plain percentiles held 84, 82 and 94 %."""
    random = np.random.default_rng(0)
    drawn = random.multinomial(num_samples, [*shares, 1 - sum(shares)], 500)
    ends = {tuple(pair): paired_difference(*map(int, pair), num_samples) for pair in drawn[:, :2]}
    inside = [ends[tuple(pair)][0] <= shares[1] - shares[0] <= ends[tuple(pair)][1] for pair in drawn[:, :2]]
    assert 0.92 <= np.mean(inside) <= 0.995  # counts are whole: with so few it errs to the wide side


@pytest.mark.parametrize(("number", "wanted"), [(1, 0), (2, np.pi**-0.5), (3, 1.5 * np.pi**-0.5), (10, 1.538753)])
def test_the_best_of_several_is_tippetts(number: int, wanted: float) -> None:
    assert best_of(number) == pytest.approx(wanted, abs=1e-5)


def test_optimism_is_what_picking_the_best_does() -> None:
    random = np.random.default_rng(0)
    best = random.binomial(2000, 0.9, (20_000, 5)).max(axis=1) / 2000
    assert expected_optimism(0.9, 2000, 5) == pytest.approx(best.mean() - 0.9, rel=0.03)
    assert expected_optimism(0.9, 2000, 1) == 0
