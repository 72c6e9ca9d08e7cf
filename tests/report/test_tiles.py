"""Sheets of filters and feature maps: every picture is there, in order, and its words are legible."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.inspection.filters import Tiles
from netwright.report.tiles import draw_tiles, mosaic, plot_tiles

pytestmark = pytest.mark.filterwarnings("error")


def made(number: int, *shape: int) -> Tiles:
    pictures = np.random.default_rng(0).integers(0, 256, (number, *shape), dtype=np.uint8)
    return Tiles("features.0.conv", pictures, tuple(range(number)), number)


@pytest.mark.parametrize("number", [1, 3, 10, 32, 64])
@pytest.mark.parametrize("labelled", [False, True])
def test_every_picture_is_drawn_once_and_in_order(number: int, labelled: bool, badly_placed: Any, texts: Any) -> None:
    tiles = made(number, 5, 7)
    labels = [f"channel {place}" for place in tiles.places] if labelled else []
    figure = draw_tiles(tiles, title="What it looks for", note="5 × 7 weights", labels=labels)
    drawn = figure.axes[0].images
    assert all(np.array_equal(each.get_array()[..., 0], tile) for each, tile in zip(drawn, tiles.tiles, strict=True))
    corners = [(each.get_extent()[3], each.get_extent()[0]) for each in drawn]
    assert corners == sorted(corners) and len(set(corners)) == number
    assert [text for text in texts(figure) if text.startswith("channel")] == labels
    assert badly_placed(figure) == []


def test_hostile_words(hostile: list[str], badly_placed: Any, tmp_path: Path, png_size: Any) -> None:
    tiles = made(len(hostile), 4, 4, 3)
    figure = draw_tiles(tiles, title=hostile[2], note=hostile[2], labels=hostile)
    assert badly_placed(figure) == []
    plot_tiles(tiles, tmp_path / "t.png", title=hostile[0], note=hostile[1])
    assert png_size(tmp_path / "t.png")[0] >= 600


def test_the_mosaic_has_every_picture() -> None:
    for tiles in (made(19, 3, 3), made(19, 3, 3, 3), made(5, 40, 30, 3)):
        sheet = mosaic(tiles, columns=8)
        factor = max(1, 32 // tiles.tiles.shape[2])
        height, width = (factor * side + 4 for side in tiles.tiles.shape[1:3])
        for place, tile in enumerate(tiles.tiles):
            top, left = place // 8 * height, place % 8 * width
            part = sheet[top : top + height - 4 : factor, left : left + width - 4 : factor]
            assert np.array_equal(part if tile.ndim == 3 else part[..., 0], tile)
        assert sheet.shape == (-(-len(tiles.tiles) // 8) * height - 4, min(8, len(tiles.tiles)) * width - 4, 3)
