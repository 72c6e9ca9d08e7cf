"""Images that differ from all others of their set, as placeholders do: said, never left out."""

from collections.abc import Mapping, Sequence

import numpy as np

from netwright.data.labelled import Array, LabelledData
from netwright.errors import listed

_FEWEST_IMAGES = 20  # in less, nothing is usual
_MOST_OF_IMAGES = 0.01  # more than this (but for one) are a kind, not exceptions
_GRID = 32
_ONE_COLOUR, _COLOURS = 0.5, 0.1  # of 397 photographs none; the one placeholder among them has 0.92 and 0.04
_MOST_NAMED = 5


def is_flat(pixels: Array) -> bool:
    """Say whether a picture (H, W, C) uint8 is nearly of one colour, of few at most: a drawing, a notice, a blank.

    At 32 × 32 places half have the commonest colour, and there are at most a tenth as many colours (30 µs; 7 where no
    half has even the same red)."""
    down, across = (max(1, side // _GRID) for side in pixels.shape[:2])
    some = pixels[down // 2 :: down, across // 2 :: across]
    reds = some[..., 0].ravel()
    if np.bincount(reds).max() < _ONE_COLOUR * reds.size:
        return False
    colours = some.astype(np.uint32) @ np.array([1, 256, 65536][: pixels.shape[2]], np.uint32)
    counts = np.unique(colours, return_counts=True)[1]
    return bool(counts.max() >= _ONE_COLOUR * colours.size and len(counts) <= _COLOURS * colours.size)


def flat_notices(labelled: LabelledData, flat: Sequence[int], num_images: int) -> tuple[str, ...]:
    """Return a notice that names the flat pictures among many that are not."""
    if not _exceptional(len(flat), num_images):
        return ()
    names = listed((labelled.sample_names[row] for row in flat), _MOST_NAMED)
    kind = "image is" if len(flat) == 1 else "images are"
    return (f"{len(flat)} {kind} nearly of one colour, unlike the others; placeholders? {names}",)


def format_notices(labelled: LabelledData, rows_by_format: Mapping[str, Sequence[int]]) -> list[str]:
    """Return a notice for each file format that few files of many have."""
    num_images = sum(map(len, rows_by_format.values()))
    return [
        f"{len(rows)} of {num_images} files {'is' if len(rows) == 1 else 'are'} {form}, unlike the others: "
        f"{listed((labelled.sample_names[row] for row in rows), _MOST_NAMED)}"
        for form, rows in rows_by_format.items()
        if form and _exceptional(len(rows), num_images)
    ]


def _exceptional(count: int, num_images: int) -> bool:
    return num_images >= _FEWEST_IMAGES and 0 < count <= max(1, int(_MOST_OF_IMAGES * num_images))
