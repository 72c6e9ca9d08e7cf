"""Masks over images, and what is said of their colours."""

import numpy as np
from PIL import ImageColor

from netwright.report.overlay import colour_of, legend, overlay

NAMES = {  # of the colours in the CSS standard, the nearest
    **{"orange": "orange", "sky blue": "skyblue", "green": "seagreen", "yellow": "khaki", "blue": "steelblue"},
    **{"vermilion": "chocolate", "pink": "orchid"},
}


def test_the_legend_says_of_every_class_how_it_is_shown() -> None:
    assert legend(["road", "car"]) == "road is left clear, car orange"
    said = legend([f"c{place}" for place in range(8)])
    for place, (word, named) in enumerate(NAMES.items(), start=1):
        assert f"c{place} {word}" in said
        distance = np.subtract(colour_of(place), ImageColor.getrgb(named))
        assert np.abs(distance).max() < 110, word
    many = legend([f"c{place}" for place in range(30)])
    assert many.endswith("c14 plum, …")


def test_the_first_class_is_left_clear() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    made = overlay(image, np.array([[0, 1], [1, 0]], np.uint8))
    assert made[0, 0].tolist() == [100, 100, 100]
    assert made[0, 1].tolist() != [100, 100, 100]
