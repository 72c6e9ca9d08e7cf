"""Growing resolution: training images of an epoch made smaller."""

import torch.nn.functional as F
from torch import Tensor


def side_of(resolutions: tuple[int, ...], epoch: int) -> int | None:
    """Return the short side in pixels for an epoch (from 1): the last of `resolutions` for all that follow them."""
    return resolutions[min(epoch, len(resolutions)) - 1] if resolutions else None


def resized(images: Tensor, side: int | None) -> Tensor:
    """Resize (B, C, H, W) float32 to the short side `side` in pixels, bilinear with antialiasing; None: as they are.

    The height-width ratio stays, to the nearest pixel, and so does the memory format."""
    if side is None:
        return images
    height, width = images.shape[2:]
    if side == min(height, width):
        return images
    scale = side / min(height, width)
    return F.interpolate(images, size=(round(height * scale), round(width * scale)), mode="bilinear", antialias=True)
