"""Boxes of pictures, each resized to one size: what random resized crop and the evaluation of whole pictures share."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from netwright.data.labelled import Array

Box = tuple[int, int, int, int]  # top, left, height, width in pixels


def cut_boxes(pictures: Sequence[Array], boxes: Sequence[Box], size: tuple[int, int]) -> Tensor:
    """Resize a box of each picture, bilinear and antialiased: pictures (h_i, w_i, C) -> (B, *size, C), dtype kept.

    uint8 or float32. The arithmetic is that of torchvision's `resized_crop` on tensors."""
    dtype = torch.uint8 if pictures[0].dtype == np.uint8 else torch.float32
    made = torch.empty((len(pictures), *size, pictures[0].shape[2]), dtype=dtype)
    cut_into(made, pictures, boxes)
    return made


def cut_into(made: Tensor, pictures: Sequence[Array], boxes: Sequence[Box]) -> None:
    """Do `cut_boxes` into given memory (B, h, w, C), contiguous.

    One call a picture: torch's kernel for bytes needs 0.13 ms for 190 × 280 × 3 to 224 × 224 × 3 when it may write into
    `made` and 0.20 when not, with new pages in each call; Pillow 1.0. It runs in one thread, outside of the
    interpreter's lock, and so does NumPy's copy of the box (torch would start threads for it)."""
    size = [made.shape[1], made.shape[2]]
    targets = made.permute(0, 3, 1, 2)
    for place, (picture, (top, left, height, width)) in enumerate(zip(pictures, boxes, strict=True)):
        box = torch.from_numpy(np.ascontiguousarray(picture[top : top + height, left : left + width]))
        # what F.interpolate(box, size, mode="bilinear", antialias=True) calls, which has no `out`
        torch.ops.aten._upsample_bilinear2d_aa.out(
            box.permute(2, 0, 1)[None], size, False, None, None, out=targets[place : place + 1]
        )
