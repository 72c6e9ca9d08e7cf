"""One image in its axes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from PIL import Image

from netwright.report.style import blank

Pixels = npt.NDArray[np.uint8]
_SMALL_PIXELS = 128  # up to here single pixels are to be seen as squares
_ENOUGH_PIXELS = 640  # more than any plot shows


def show_image(axes: Axes, pixels: Pixels) -> None:
    """Draw an image (H, W, 1), (H, W, 3), (H, W, 4) or (H, W) uint8; small ones pixel by pixel, large ones smoothly."""
    blank(axes)
    image = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    height, width = image.shape[:2]
    if max(height, width) > _ENOUGH_PIXELS:
        # Reduced here, because matplotlib resamples at 16 bytes a pixel: a photograph of 12 megapixels takes 200 MB.
        small = Image.fromarray(np.ascontiguousarray(image))
        small.thumbnail((_ENOUGH_PIXELS, _ENOUGH_PIXELS), Image.Resampling.BOX)
        image = np.asarray(small)
    how = "nearest" if max(height, width) <= _SMALL_PIXELS else "antialiased"
    gray: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if image.ndim == 2 else {}
    axes.imshow(image, interpolation=how, origin="upper", aspect="equal", **gray)
