"""The line that sums a split up: each of its numbers stands beside its interval."""

import numpy as np
import pytest

from netwright.cli.judged import judged
from netwright.evaluation.masks import mask_metrics
from netwright.evaluation.numbers import number_metrics

GENERATOR = np.random.default_rng(0)


def of_numbers() -> dict[str, object]:
    truth = GENERATOR.normal(size=60)
    return number_metrics(truth + GENERATOR.normal(scale=0.3, size=60), truth, loss=0.1)


def of_masks() -> dict[str, object]:
    counts = GENERATOR.integers(20, 90, (12, 2, 2)) + 400 * np.eye(2, dtype=np.int64)
    return mask_metrics(counts, ("background", "cell"), loss=0.1)


@pytest.mark.parametrize(("metrics", "num_numbers"), [(of_numbers(), 3), (of_masks(), 3)], ids=["numbers", "masks"])
def test_every_number_has_its_interval(metrics: dict[str, object], num_numbers: int) -> None:
    _, said = judged("val", metrics)
    assert said.count(" to ") == num_numbers, said
