"""Gray to RGB and back for whole arrays, with the same luma as Pillow's `convert("L")`."""

import numpy as np

from netwright.data.labelled import Array

_BLOCK = 4096


def to_channels(pixels: Array, channels: int) -> Array:
    """Return (N, H, W, C) with 1 or 3 channels: luma (ITU-R 601) one way, repeated gray the other."""
    if pixels.shape[3] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=3)
    if pixels.dtype == np.uint8:
        gray = np.empty((*pixels.shape[:3], 1), np.uint8)
        for start in range(0, len(pixels), _BLOCK):
            part = pixels[start : start + _BLOCK].astype(np.uint32)
            luma = part[..., 0] * 19595 + part[..., 1] * 38470 + part[..., 2] * 7471 + 0x8000  # Pillow's integers
            gray[start : start + _BLOCK, ..., 0] = luma >> 16
        return gray
    weights = np.asarray([0.299, 0.587, 0.114], dtype=np.float32)
    return (pixels.astype(np.float32) @ weights)[..., None]
