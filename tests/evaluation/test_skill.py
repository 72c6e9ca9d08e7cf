"""Whether a network says more than always the same answer."""

import numpy as np

from netwright.evaluation.skill import shows_skill


def test_it_is_one_standard_error_of_the_paired_difference() -> None:
    random = np.random.default_rng(0)
    always = random.gamma(2.0, 1.0, 400)
    gains = random.normal(size=400)
    gains -= gains.mean()
    error = gains.std(ddof=1) / 20
    assert shows_skill(always - gains - 1.05 * error, always)
    assert not shows_skill(always - gains - 0.95 * error, always)
    assert not shows_skill(always, always)


def test_a_weight_of_two_is_the_sample_twice() -> None:
    always, losses = np.array([1.0, 1.0, 1.0]), np.array([0.5, 0.5, 1.9])
    assert not shows_skill(losses, always)
    assert shows_skill(losses, always, np.array([10.0, 10.0, 0.1]))
