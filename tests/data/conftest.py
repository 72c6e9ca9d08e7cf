"""Small real pictures and folders of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def picture() -> Image.Image:
    """A 40 × 24 RGB picture in which no two corners and no two directions are alike."""
    down, across = np.mgrid[0:24, 0:40]
    pixels = np.stack([down * 10, across * 6, (down + across) * 3], axis=2).astype(np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes random PNGs: `make_folder({"train/cat": 3, "train/dog": 2}, size=(h, w))`."""

    def make(counts: dict[str, int], size: tuple[int, int] = (12, 10), name: str = "pictures") -> Path:
        random = np.random.default_rng(0)
        root = tmp_path / name
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / folder / f"{number}.png")
        return root

    return make
