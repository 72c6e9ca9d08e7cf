"""The Wilson interval against SciPy's and against the promise that it makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from netwright.evaluation.intervals import wilson


@given(st.integers(1, 100_000), st.floats(0, 1), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_equals_scipy(n: int, part: float, confidence: float) -> None:
    successes = round(part * n)
    low, high = wilson(successes, n, confidence)
    reference = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert 0 <= low <= successes / n <= high <= 1


def test_worked_value_by_hand() -> None:
    # 9 of 10 with z = 1.959964: centre (0.9 + 0.192073) / 1.384146, half width 0.192743.
    assert wilson(9, 10) == pytest.approx((0.595850, 0.982124), abs=1e-6)


def test_all_right_and_all_wrong_end_exactly_at_the_ends() -> None:
    margin = 1.959964**2 / (37 + 1.959964**2)  # what the formula comes to for a fraction of 0
    assert wilson(0, 37) == (0.0, pytest.approx(margin, abs=1e-6))
    assert wilson(37, 37) == (pytest.approx(1 - margin, abs=1e-6), 1.0)


def test_nothing_seen_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n", "confidence"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1.0), (1, 3, 0.0)])
def test_refuses_what_cannot_be(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        wilson(successes, n, confidence)
