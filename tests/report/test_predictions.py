"""Images beside their class probabilities, and grids of examples."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.report.examples import draw_examples, plot_examples
from netwright.report.predictions import draw_predictions, plot_predictions

pytestmark = pytest.mark.filterwarnings("error")


def predicted(probabilities: dict[str, float], source: str = "photos/cat.jpg") -> dict[str, Any]:
    label = max(probabilities, key=lambda name: probabilities[name])
    return {"source": source, "label": label, "probability": probabilities[label], "probabilities": probabilities}


def test_most_probable_first(made_image: Any, texts: Any, badly_placed: Any) -> None:
    prediction = predicted({"bird": 0.05, "cat": 0.9, "dog": 0.0499, "eel": 0.0001})
    figure = draw_predictions([made_image()], [prediction], top=3)
    bars = figure.axes[1]
    names = [text.get_text() for text in bars.texts[::2]]
    values = [text.get_text() for text in bars.texts[1::2]]
    assert (names, values) == (["cat", "bird", "dog"], ["90.0 %", "5.0 %", "5.0 %"])
    assert "cat.jpg" in texts(figure)
    assert badly_placed(figure) == []
    assert "< 0.1 %" in texts(draw_predictions([made_image()], [prediction]))


@pytest.mark.parametrize("num_images", [0, 1, 2, 5, 12, 40])
def test_any_number_of_images(num_images: int, made_image: Any, texts: Any, badly_placed: Any) -> None:
    images = [made_image(20 + number, 30) for number in range(num_images)]
    figure = draw_predictions(images, [predicted({"a": 0.6, "b": 0.4})] * num_images)
    assert texts(figure).count("cat.jpg") == min(num_images, 12)
    assert ("The first 12 of 40 images." in texts(figure)) == (num_images == 40)
    assert badly_placed(figure) == []


@pytest.mark.parametrize("error", ["the file is empty", {"code": "unreadable", "message": "the file is empty"}])
def test_an_image_that_cannot_be_read_says_why(error: Any, texts: Any, badly_placed: Any) -> None:
    figure = draw_predictions([None], [{"source": "broken.jpg", "error": error}])
    assert "the file is empty" in " ".join(texts(figure)).replace("\n", " ")
    assert badly_placed(figure) == []


@pytest.mark.parametrize("shape", [(1, 1, 1), (28, 28, 1), (28, 28), (5, 900, 3), (1000, 700, 4), (700, 900, 1)])
def test_any_shape_of_image(shape: tuple[int, ...], tmp_path: Path, png_size: Any) -> None:
    image = np.full(shape, 200, np.uint8)
    plot_predictions([image], [predicted({"a": 1.0, "b": 0.0})], tmp_path / "p.png")
    plot_examples([image], ["a"], tmp_path / "e.png", title="x", columns=4)
    assert png_size(tmp_path / "p.png") == (546, 300)
    assert png_size(tmp_path / "e.png")[0] == 480


def test_gray_images_keep_their_brightness() -> None:
    figure = draw_examples([np.full((4, 4, 1), 100, np.uint8)], ["a"], title="x", columns=1)
    shown = figure.axes[0].images[0]
    assert np.allclose(np.asarray(shown.to_rgba(shown.get_array())), [100 / 255] * 3 + [1], atol=0.005)


def test_hostile_names(hostile: list[str], made_image: Any, badly_placed: Any, texts: Any) -> None:
    probabilities = {name: 1 / (2 + number) for number, name in enumerate(hostile)}
    images = [made_image()] * len(hostile)
    predictions = [predicted(probabilities, source) for source in hostile]
    figure = draw_predictions(images, predictions, top=10)
    assert badly_placed(figure) == []
    assert "$x^{" in texts(figure)
    assert badly_placed(draw_examples(images, hostile, title=hostile[2], columns=4)) == []


def test_examples_stand_in_rows(made_image: Any, texts: Any) -> None:
    figure = draw_examples([made_image()] * 5, ["a", "b", "c", "d", "e"], title="digits: five examples", columns=3)
    assert [axes.get_xlabel() for axes in figure.axes] == ["a", "b", "c", "d", "e", ""]
    assert {axes.get_subplotspec().get_gridspec().ncols for axes in figure.axes} == {3}  # type: ignore[union-attr]
    assert "digits: five examples" in texts(figure)
