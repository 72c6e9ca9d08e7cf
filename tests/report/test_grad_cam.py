"""Grad-CAM over images: what the overlay's pixels mean, also in gray, and the words beside it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netwright.report.grad_cam import Explained, beside, draw_grad_cam, overlay, overlay_png, plot_grad_cam

pytestmark = pytest.mark.filterwarnings("error")


def explained(pixels: Any, heat: Any = None, **others: Any) -> Explained:
    heat = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8) if heat is None else heat
    given = {"source": "photos/cat.jpg", "label": "cat", "probability": 0.943, "predicted": "cat"} | others
    return Explained(pixels=pixels, heat=heat, **given)


def lightness(pixels: Any) -> Any:
    return np.asarray(Image.fromarray(pixels).convert("L")).astype(int)


def test_what_counts_more_is_lighter_also_in_gray_print() -> None:
    image = np.full((16, 16, 3), 128, np.uint8)
    steps = [lightness(overlay(image, np.full((4, 4), heat, np.float32)))[8, 8] for heat in np.linspace(0, 1, 21)]
    assert (np.diff(steps) > 0).all()
    assert steps[-1] - steps[0] > 100


def test_the_map_lies_where_it_belongs() -> None:
    heat = np.zeros((6, 9), np.float32)
    heat[4, 1] = 1.0  # below, left
    laid = lightness(overlay(np.zeros((60, 90, 1), np.uint8), heat))
    row, column = (places.mean() + 0.5 for places in np.nonzero(laid > laid.max() / 2))
    assert abs(row / laid.shape[0] - 4.5 / 6) < 0.03 and abs(column / laid.shape[1] - 1.5 / 9) < 0.03
    assert laid.shape[1] / laid.shape[0] == 1.5


def test_a_line_is_drawn_where_the_map_is_a_half() -> None:
    ramp = np.tile(np.linspace(0, 1, 224, dtype=np.float32), (224, 1))
    laid = lightness(overlay(np.full((224, 224, 1), 255, np.uint8), ramp))
    assert (laid[:, 112] == 0).all() and (laid[:, 113] == 255).all()
    assert ((laid == 0).sum(), (laid == 255).sum()) == (224, 224)  # and the picture's edge has none


def test_where_nothing_counts_is_the_darkened_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    laid = overlay(image, np.zeros((7, 7), np.float32)).astype(int)
    expected = 0.4 * lightness(image)
    assert np.abs(laid - expected[..., None]).max() <= 4  # the map's colour for 0 is not quite black
    assert np.ptp(laid, axis=2).max() <= 4


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 20, 3), (1, 1, 3), (1200, 900, 3)])
def test_overlays_are_small_pngs(shape: tuple[int, ...], made_image: Any) -> None:
    with Image.open(io.BytesIO(overlay_png(explained(made_image(*shape))))) as picture:
        assert picture.format == "PNG" and 200 <= max(picture.size) <= 448
    assert len(overlay_png(explained(made_image(*shape)))) < 600_000  # of noise


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 20, 3), (1, 1, 3), (1200, 900, 3)])
def test_the_image_stands_beside_its_map(shape: tuple[int, ...], made_image: Any) -> None:
    pixels = made_image(*shape)
    pair = beside(pixels, np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    height, width = pair.shape[:2]
    side = (width - 8) // 2
    assert max(height, side) == 160 and abs(side / height - shape[1] / shape[0]) < 0.01
    assert (pair[:, side : side + 8] == 255).all()
    if max(shape[:2]) <= 28:  # pixel by pixel: the middle of each square is the pixel itself
        rows = ((np.arange(shape[0]) + 0.5) * height / shape[0]).astype(int)
        columns = ((np.arange(shape[1]) + 0.5) * side / shape[1]).astype(int)
        assert np.array_equal(pair[np.ix_(rows, columns)], np.broadcast_to(pixels, (*shape[:2], 3)))
    buffer = io.BytesIO()
    Image.fromarray(pair).save(buffer, "PNG", optimize=True)
    assert len(buffer.getvalue()) < 250_000  # six of them in a report


def test_names_and_numbers_stand_above(made_image: Any, texts: Any, badly_placed: Any) -> None:
    usual, mistaken = explained(made_image()), explained(made_image(), truth="dog")
    asked, empty = explained(made_image(), predicted="eel"), explained(made_image(), np.zeros((8, 8), np.float32))
    figure = draw_grad_cam([usual, mistaken, asked, empty], layer="features", calibrated=True)
    shown = texts(figure)
    assert shown.count("cat: 94.3 %") == 4 and shown.count("cat.jpg") == 4
    assert {"label: dog", "predicted: eel", "no place speaks for it"} <= set(shown)
    assert any("Grad-CAM at features.\nProbabilities are calibrated." in text for text in shown)
    assert badly_placed(figure) == []


@pytest.mark.parametrize("number", [1, 2, 7, 40])
def test_any_number_of_images(number: int, made_image: Any, texts: Any, badly_placed: Any) -> None:
    images = [explained(made_image(20 + place, 30)) for place in range(number)]
    figure = draw_grad_cam(images, layer="layer4", calibrated=False)
    assert texts(figure).count("cat.jpg") == min(number, 12)
    note = "The first 12 of 40 images. Probabilities are the network's own, not calibrated."
    assert any(note in text for text in texts(figure)) == (number == 40)
    assert badly_placed(figure) == []


def test_hostile_names(hostile: list[str], made_image: Any, badly_placed: Any, tmp_path: Path, png_size: Any) -> None:
    images = [explained(made_image(), source=name, label=name, truth=name) for name in hostile]
    assert badly_placed(draw_grad_cam(images, layer=hostile[2], calibrated=True)) == []
    plot_grad_cam(images, tmp_path / "new" / "g.png", layer="features", calibrated=True)
    assert png_size(tmp_path / "new" / "g.png")[0] > 400
