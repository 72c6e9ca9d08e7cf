"""The reliability diagram says what its record says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.evaluation.metrics import classification_metrics
from netwright.report.reliability import draw_reliability, plot_reliability

pytestmark = pytest.mark.filterwarnings("error")


def record(num_samples: int, temperature: float | None) -> Any:
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, num_samples)
    scores = np.log(random.dirichlet([0.3] * 3, num_samples))
    return classification_metrics(scores, targets, ("a", "b", "c"), temperature=temperature)["calibration"]


def test_points_are_the_bins(texts: Any, badly_placed: Any) -> None:
    found = record(400, 1.5)
    figure = draw_reliability(found, title="digits-1: val")
    hollow, filled = figure.axes[0].lines[1:]
    for line, bins in ((filled, found["bins"]), (hollow, found["before"]["bins"])):
        assert list(line.get_xdata()) == [each["confidence"] for each in bins]
        assert list(line.get_ydata()) == [each["accuracy"] for each in bins]
    assert f"Calibration error {100 * found['ece']:.1f} %" in " ".join(texts(figure))
    assert badly_placed(figure) == []


@pytest.mark.parametrize("num_samples", [0, 1, 30])
def test_without_a_temperature(num_samples: int, badly_placed: Any, tmp_path: Path, png_size: Any) -> None:
    found = record(num_samples, None)
    assert badly_placed(draw_reliability(found, title="x" * 300)) == []
    plot_reliability(found, tmp_path / "r.png", title="r")
    assert png_size(tmp_path / "r.png") == (672, 768)
