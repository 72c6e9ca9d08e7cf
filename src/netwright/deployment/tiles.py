"""Masks of images of any size: overlapping tiles, of each of which only what the network has seen wholly is kept.

Tiles begin where the network's halvings fall into place, and reach as far around what is kept as one pixel is seen: so
the mask is that of the whole image, in memory that does not grow with it but for the image and the mask themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from netwright.data.labelled import Array

KEPT_PIXELS = 512  # a side of what a tile gives to the mask
ALIGNED_PIXELS = 64  # tiles begin at multiples of this: six halvings
_PROBED_PIXELS = 576
_Values = TypeVar("_Values", Array, Tensor)
_MARGIN_OF_ALL = 128  # of a network in which every pixel is seen everywhere, such as DeepLab: there tiles differ


@dataclass(frozen=True)
class Tile:
    """`window` (top, left, bottom, right) is what the network is given, `kept` what of it goes into the mask, both in
    pixels of the image."""

    window: tuple[int, int, int, int]
    kept: tuple[int, int, int, int]

    def window_of(self, pixels: Array) -> Array:
        """Return what the network is given of a picture (H, W, C): a view (h, w, C)."""
        top, left, bottom, right = self.window
        return pixels[top:bottom, left:right]

    def put(self, classes: Array, mask: Array) -> None:
        """Write the kept part of a window's classes (h, w) into the mask of the whole picture, (H, W)."""
        top, left, bottom, right = self.kept
        mask[top:bottom, left:right] = self.cut(classes)

    def cut(self, values: _Values) -> _Values:
        """Return the kept part of what a window has, (…, h, w)."""
        top, left = self.window[0], self.window[1]
        return values[..., self.kept[0] - top : self.kept[2] - top, self.kept[1] - left : self.kept[3] - left]


def tiles_of(size: tuple[int, int], margin: int, kept: int = KEPT_PIXELS) -> Iterator[Tile]:
    """Yield the tiles of an image of (height, width); together their kept parts are the whole of it, once."""
    margin = -(-margin // ALIGNED_PIXELS) * ALIGNED_PIXELS
    height, width = size
    for top in range(0, height, kept):
        for left in range(0, width, kept):
            bottom, right = min(top + kept, height), min(left + kept, width)
            window = (
                max(0, top - margin),
                max(0, left - margin),
                min(height, bottom + margin),
                min(width, right + margin),
            )
            yield Tile(window, (top, left, bottom, right))


def reach_of(network: nn.Module, channels: int, device: torch.device) -> int | None:
    """Return how many pixels away a pixel changes the mask at most; None where it does everywhere.

    Found by trying: a pixel that is not a number makes all that depends on it so. The network is in eval mode."""
    images = torch.zeros(1, channels, _PROBED_PIXELS, _PROBED_PIXELS, device=device)
    middle = _PROBED_PIXELS // 2
    images[:, :, middle, middle] = float("nan")
    with torch.inference_mode():
        touched = network(images).isnan().any(dim=1)[0]
    rows, columns = (touched.any(dim=axis).nonzero().flatten() for axis in (1, 0))
    if not len(rows):
        return 0
    found = max(middle - int(rows[0]), int(rows[-1]) - middle, middle - int(columns[0]), int(columns[-1]) - middle)
    return None if found >= middle - 1 else found


def margin_for(reach: int | None) -> int:
    """Return the margin in pixels around what is kept; where a pixel lies on the network's grid changes its reach."""
    return _MARGIN_OF_ALL if reach is None else reach + ALIGNED_PIXELS // 2
