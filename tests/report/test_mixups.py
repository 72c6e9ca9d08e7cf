"""The confusion matrix as the report prepares it."""

import io

import numpy as np
from PIL import Image

from netwright.report.mixups import confusion


def test_few_classes_are_a_table_with_the_worst_pairs_first() -> None:
    found = confusion([[8, 2, 0], [0, 9, 1], [5, 0, 5]])
    assert found.counts == [[8, 2, 0], [0, 9, 1], [5, 0, 5]]
    assert found.pairs == [(2, 0, 5, 0.5), (0, 1, 2, 0.2), (1, 2, 1, 0.1)]
    assert (found.num_right, found.total) == (22, 30)
    assert found.picture is None
    assert found.shades[0][2] == 0
    assert found.shades[1][1] > found.shades[2][2] > found.shades[1][2] > 0


def test_a_single_mistake_among_a_thousand_classes_is_in_the_picture() -> None:
    counts = np.eye(1000, dtype=int) * 50
    counts[3, 997] = 1
    found = confusion(counts.tolist())
    assert found.counts == []
    assert found.pairs == [(3, 997, 1, 1 / 51)]
    with Image.open(io.BytesIO(found.picture or b"")) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert pixels.shape == (334, 334)
    assert found.block == 3
    assert pixels[1, 332] < 255
    off_diagonal = pixels[~np.eye(334, dtype=bool)]
    assert (off_diagonal < 255).sum() == 1
