"""Made-up records as runs write them, names as hostile users choose them, and ways to look at a figure."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image


@pytest.fixture
def hostile() -> list[str]:
    """Class and file names that break careless plots."""
    return [
        "$x^{",
        "<script>alert(1)</script>",
        "W" * 300,
        "two\nlines",
        "שלום \u202eabc",
        "猫 😻",
        "\udcff.png",
        r"\frac",
    ]


@pytest.fixture
def made_history() -> Callable[..., list[dict[str, Any]]]:
    """Records of a run that overfits after epoch 5."""

    def made(num_epochs: int, *, val: bool = True) -> list[dict[str, Any]]:
        records = []
        for epoch in range(1, num_epochs + 1):
            fading = math.exp(-epoch / 4)
            record = {"epoch": epoch, "train_loss": 2 * fading, "train_accuracy": 1 - 0.6 * fading, "lr": 3e-4}
            if val:
                worse = 0.1 * max(0, epoch - 5)
                record |= {"val_loss": 0.4 + 1.7 * fading + worse, "val_accuracy": 0.88 - 0.5 * fading}
            records.append(record)
        return records

    return made


@pytest.fixture
def made_image() -> Callable[..., npt.NDArray[np.uint8]]:
    """Noise of any size."""

    def made(height: int = 8, width: int = 8, channels: int = 3) -> npt.NDArray[np.uint8]:
        return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)

    return made


@pytest.fixture
def texts() -> Callable[[Figure], list[str]]:
    """All that is written in a figure."""
    return lambda figure: [text for text, _ in boxes(figure)]


@pytest.fixture
def badly_placed() -> Callable[[Figure], list[str]]:
    """Texts that lie over another or stick out of the figure, by more than a pixel."""

    def found(figure: Figure) -> list[str]:
        every = boxes(figure)
        if not every:
            return []
        names = [name for name, _ in every]
        x0, y0, x1, y1 = np.array([box.extents for _, box in every]).T
        width, height = figure.bbox.size
        outside = (x0 < -1) | (y0 < -1) | (x1 > width + 1) | (y1 > height + 1)
        common_width = np.minimum.outer(x1, x1) - np.maximum.outer(x0, x0)
        common_height = np.minimum.outer(y1, y1) - np.maximum.outer(y0, y0)
        pairs = np.argwhere(np.triu((common_width > 1) & (common_height > 1), k=1))
        return [names[n] for n in np.flatnonzero(outside)] + [f"{names[n]} / {names[m]}" for n, m in pairs]

    return found


@pytest.fixture
def png_size() -> Callable[[bytes | Path], tuple[int, int]]:
    """Width and height in pixels of a PNG that is decoded to its end."""

    def size(content: bytes | Path) -> tuple[int, int]:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            assert image.format == "PNG"
            image.load()
            return image.size

    return size


def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """Return what is written in a figure once it is drawn, and where."""
    figure.canvas.draw()
    written = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().strip()]
    unused = _labels_beyond_the_axes(figure)
    shown = [text for text in written if text.get_visible() and id(text) not in unused]
    return [(text.get_text(), text.get_window_extent()) for text in shown]


def _labels_beyond_the_axes(figure: Figure) -> set[int]:
    """Return the ids of labels whose ticks are outside their axes' limits: matplotlib keeps, but doesn't draw them."""
    found = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low <= tick.get_loc() <= high:
                found |= {id(tick.label1), id(tick.label2)}
    return found
