"""The user's own transform, an image at a time: (C, H, W) uint8 or floats in [0, 1] -> floats; draws are seeded."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from netwright.data.items import seeded
from netwright.data.transform import EvalTransform
from netwright.errors import DataError
from netwright.runtime.randomness import seed_of

CustomTransform = Callable[[Tensor], Any]


def custom_input(transform: EvalTransform, pixels: Tensor, in_unit_range: bool = False) -> Tensor:
    """Return what the user's own transform is given of decoded pixels (B, H, W, C), in training as in serving.

    The centre crop, on the CPU: uint8 as it is, other dtypes in [0, 1] unless `unit` has scaled them already."""
    cut = transform.crop(pixels)
    return (cut if in_unit_range or cut.dtype == torch.uint8 else transform.unit(cut)).cpu()


def apply_custom(
    transform: CustomTransform, pixels: Tensor, seed: int, epoch: int, rows: Tensor, visits: Tensor | None = None
) -> Tensor:
    """Apply the user's transform to each image of (B, H, W, C) and stack what it gives to (B, C', h, w) float32.

    Image i runs under the seed of (seed, "transform", epoch, rows[i]), or visits[i] (see `order`), for torch, NumPy and
    `random`: in training every epoch draws anew, in evaluation epoch 0 is used always. Raises DataError when it fails
    or its results differ in shape."""
    made: list[Tensor] = []
    visits = rows if visits is None else visits
    for image, row, visit in zip(pixels.permute(0, 3, 1, 2), rows.tolist(), visits.tolist(), strict=True):
        with seeded(seed_of(seed, "transform", epoch, visit)):
            try:
                result = transform(image.contiguous())
            except Exception as error:
                raise DataError(f"your transform failed on image {row} ({type(error).__name__}: {error})") from error
        if not isinstance(result, Tensor) or result.ndim != 3 or not result.is_floating_point():
            given = f"{result.dtype} {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
            raise DataError(f"your transform gave {given} for image {row}; expected a float tensor (C, H, W)")
        if made and result.shape != made[0].shape:
            raise DataError(
                f"your transform gave {tuple(result.shape)} after {tuple(made[0].shape)}; expected equal shapes"
            )
        made.append(result.detach().to(torch.float32))
    return torch.stack(made)
