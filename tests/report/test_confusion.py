"""The picture of the confusion matrix."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.report.confusion import draw_confusion, plot_confusion

pytestmark = pytest.mark.filterwarnings("error")


def made(num_classes: int) -> list[list[int]]:
    counts: list[list[int]] = np.random.default_rng(0).integers(0, 30, (num_classes, num_classes)).tolist()
    return counts


def test_colours_are_shares_of_the_row() -> None:
    figure = draw_confusion([[3, 1], [0, 10]], ["cat", "dog"], title="x")
    shown = figure.axes[0].images[0].get_array()
    assert np.allclose(shown, [[0.75, 0.25], [0, 1]])


def test_numbers_and_words(texts: Any, badly_placed: Any) -> None:
    figure = draw_confusion([[1203, 7], [40, 99]], ["cat", "dog"], title="pets: cnn on val")
    written = texts(figure)
    assert {"1203", "7", "40", "99", "pets: cnn on val", "true class", "predicted class"} <= set(written)
    assert written.count("cat") == written.count("dog") == 2
    assert "1,302 of 1,349 right (96.5 %).\nMost often mixed up: dog taken for cat, 40 times." in written
    assert badly_placed(figure) == []


@pytest.mark.parametrize("num_classes", [1, 2, 10, 20, 21, 200])
def test_any_number_of_classes(num_classes: int, texts: Any, badly_placed: Any) -> None:
    names = [f"class {number} of a long list of many names" for number in range(num_classes)]
    figure = draw_confusion(made(num_classes), names, title="x")
    numbers = [text for text in texts(figure) if text.isdigit()]
    cells = len(numbers) - 6 + 1  # the colour scale writes six of its own; the title is no digit
    assert (cells >= num_classes**2) == (num_classes <= 20)
    assert badly_placed(figure) == []


def test_a_class_without_images_is_not_shown_as_wrong() -> None:
    figure = draw_confusion([[2, 0], [0, 0]], ["cat", "dog"], title="x")
    shown = np.ma.getmaskarray(figure.axes[0].images[0].get_array())
    assert shown.tolist() == [[False, False], [True, True]]


def test_nothing_wrong_and_nothing_at_all(texts: Any) -> None:
    assert "4 of 4 right (100.0 %)." in texts(draw_confusion([[2, 0], [0, 2]], ["a", "b"], title="x"))
    assert "No images." in texts(draw_confusion([[0, 0], [0, 0]], ["a", "b"], title="x"))


def test_huge_counts_stay_in_their_cells(badly_placed: Any) -> None:
    counts = np.full((20, 20), 123_456_789).tolist()
    assert badly_placed(draw_confusion(counts, [str(n) for n in "abcdefghijklmnopqrst"], title="x")) == []


def test_hostile_names(hostile: list[str], tmp_path: Path, png_size: Any, texts: Any) -> None:
    target = tmp_path / "plots" / "confusion.png"
    plot_confusion(made(len(hostile)), hostile, target, title=hostile[0])
    assert min(png_size(target)) > 400
    assert "$x^{" in texts(draw_confusion(made(len(hostile)), hostile, title="x"))
