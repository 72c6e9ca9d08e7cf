"""Items of the user's own data set, read under seeds, so that what is random in them is random statelessly."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from netwright.data.labelled import ItemImages
from netwright.errors import DataError
from netwright.runtime.randomness import seed_of

_TRIALS = 8  # a flip with probability 0.5 escapes 4 items × 8 seeds with probability 2^-28


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch (CPU), NumPy's global generator and `random`, and put all three back afterwards."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 (the user's code uses it)
    try:
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


def read_item(images: ItemImages, row: int, seed: int, epoch: int, *, visit: int | None = None) -> Any:
    """Read one image under the seed of (seed, epoch, row), or of its `visit` (see `order`) in place of the row.

    Raises DataError that names the item when its code fails."""
    with seeded(seed_of(seed, "item", epoch, row if visit is None else visit)):
        return _read(images, row)


def read_fixed_item(images: ItemImages, row: int) -> Any:
    """Read one image under seed 0, epoch 0; of `parallel` sets, which draw nothing, without seeds: from any thread."""
    return _read(images, row) if images.parallel else read_item(images, row, 0, 0)


def _read(images: ItemImages, row: int) -> Any:
    try:
        return images.item(row)
    except Exception as error:
        name = name_of_item(images, row)
        raise DataError(f"{name} can't be read ({type(error).__name__}: {error})") from error


def name_of_item(images: ItemImages, row: int) -> str:
    """Return "item 7 of Photographs": the number that the user's own data set knows it by."""
    part, index = images.places[row]
    return f"item {index} of {type(images.datasets[int(part)]).__name__}"


def ready_item(image: Any, shape: tuple[int, ...] | None, row: int) -> Tensor:
    """Return a float item (C, H, W) as (H, W, C) float32. Raises DataError for another shape, NaN or infinity."""
    if not isinstance(image, Tensor) or image.ndim != 3 or not image.is_floating_point():
        raise DataError(f"item {row} is {_describe(image)}; the first item was a float tensor (C, H, W): give one kind")
    if shape is not None and tuple(image.shape) != shape:
        raise DataError(f"item {row} has shape {tuple(image.shape)}, the first one {shape}; make them equal")
    if not bool(torch.isfinite(image).all()):
        raise DataError(f"item {row} has NaN or infinite values; repair it or leave it out")
    return image.detach().to(torch.float32).permute(1, 2, 0)


def as_picture(image: Any) -> Any:
    """Return an item as what the decoder takes: PIL, or uint8 (H, W, C); uint8 tensors are (C, H, W) or (H, W)."""
    if isinstance(image, Tensor):
        array = image.detach().cpu().numpy()
        return array.transpose(1, 2, 0) if array.ndim == 3 else array
    return image


def kind_of_items(images: ItemImages, rows: list[int]) -> str:
    """Find out what a data set gives: "ready" float tensors, "fixed" pictures or "random" ones.

    Float tensors are ready. Pictures count as fixed when some items are equal under eight seeds.
    Raises DataError for items that are neither."""
    kinds = {_kind_of(read_item(images, row, 0, 0)) for row in rows}
    if len(kinds) > 1:
        raise DataError("some splits give float tensors and some give pictures; give the same kind for all")
    if kinds == {"ready"}:
        return "ready"
    last = len(images) - 1
    tried = sorted({*rows, 0, last // 3, last // 2, last})[:4]
    return "fixed" if all(_same_under_seeds(images, row) for row in tried) else "random"


def _kind_of(image: Any) -> str:
    if isinstance(image, Tensor) and image.is_floating_point() and image.ndim == 3:
        return "ready"
    numeric = isinstance(image, (Tensor, np.ndarray)) and str(image.dtype).endswith("uint8") and image.ndim in (2, 3)
    if numeric or isinstance(image, Image.Image):
        return "picture"
    raise DataError(f"the items' images are {_describe(image)}; expected PIL, uint8, or float tensors (C, H, W)")


def _same_under_seeds(images: ItemImages, row: int) -> bool:
    first = picture_bytes(read_item(images, row, 0, 0))
    return all(picture_bytes(read_item(images, row, seed, 0)) == first for seed in range(1, _TRIALS))


def picture_bytes(image: Any) -> bytes:
    """Return size, mode and pixels of an item as bytes, to compare and to hash."""
    array = np.asarray(image.detach().cpu() if isinstance(image, Tensor) else image)
    mode = image.mode if isinstance(image, Image.Image) else ""
    return f"{mode} {array.dtype} {array.shape} ".encode() + array.tobytes()


def _describe(image: Any) -> str:
    if isinstance(image, (Tensor, np.ndarray)):
        return f"{type(image).__name__} {image.dtype} {tuple(image.shape)}"
    return type(image).__name__
