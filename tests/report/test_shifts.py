"""The picture of accuracy over shifts."""

from pathlib import Path
from typing import Any

import pytest

from netwright.report.shifts import draw_shifts, plot_shifts

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("values", [[0.99, 0.95, 0.8, 0.5, 0.3], [1.0] * 5, [0.0] * 5])
def test_the_line_is_the_record(
    values: list[float], texts: Any, badly_placed: Any, tmp_path: Path, png_size: Any
) -> None:
    rows = [
        {
            "pixels": pixels,
            "accuracy": value,
            "interval": [max(value - 0.03, 0), min(value + 0.02, 1)],
            "num_samples": 9,
        }
        for pixels, value in enumerate(values)
    ]
    lost = values[0] - min(values)
    found = {"shifts": rows, "lost": lost, "lost_interval": [lost - 0.01, lost + 0.02]}
    figure = draw_shifts(found, title="digits-1: val")
    assert list(figure.axes[0].lines[0].get_ydata()) == [100 * value for value in values]
    costs = f"Moving the image costs up to {100 * lost:.1f} points ({100 * lost - 1:.1f} to {100 * lost + 2:.1f})"
    assert costs in texts(figure)
    assert badly_placed(figure) == []
    plot_shifts(found, tmp_path / "s.png", title="x")
    assert png_size(tmp_path / "s.png") == (672, 504)
