"""Digests of images against hashlib, one image at a time."""

import hashlib

import numpy as np
import pytest

from netwright.data.fingerprint import sample_digests
from netwright.data.labelled import ArrayImages

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "pixels",
    [
        RANDOM.integers(0, 256, (5000, 3, 4, 3), dtype=np.uint8),  # more than are taken together
        RANDOM.random((9, 3, 3, 1)).astype(">f4"),
        RANDOM.random((9, 3, 4, 2))[:, :, ::-1],
    ],
)
def test_each_image_has_the_hash_of_its_dtype_shape_and_pixels(pixels: np.ndarray) -> None:
    head = f"{pixels.dtype.str} {pixels.shape[1:]} ".encode()
    wanted = [hashlib.sha256(head + image.tobytes()).digest() for image in pixels]
    assert sample_digests(ArrayImages(pixels)).tobytes() == b"".join(wanted)
