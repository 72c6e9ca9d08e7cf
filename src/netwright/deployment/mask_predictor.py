"""From a picture of any size to its mask, by the predictor of a bundle."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from netwright.data.labelled import Array
from netwright.data.resize import check_aspect, covering_size
from netwright.deployment.predictor import Predictor
from netwright.deployment.tiles import ALIGNED_PIXELS, KEPT_PIXELS, Tile, margin_for, reach_of, tiles_of
from netwright.errors import DataError, InputError
from netwright.tasks.segmentation import Segmentation


class MaskPredictor:
    """Gives each pixel of a picture its class. Pictures that training saw resized are resized alike, not cut, and the
    mask is brought back to the picture's own size."""

    def __init__(self, predictor: Predictor) -> None:
        """Raise InputError for a bundle that does not give masks, or sees images by a transform of the user's own."""
        if not isinstance(predictor.bundle.task, Segmentation):
            raise InputError("this network names whole images and gives no masks; leave --out-masks out")
        if predictor.transform.kind != "images":
            raise InputError("masks of images under your own transform are not supported; call the network yourself")
        self.predictor, self.task = predictor, predictor.bundle.task

    def picture(self, source: Any) -> Array:
        """Decode one picture, a file, bytes, PIL or uint8 (H, W[, C]), in its own size: (H, W, C) uint8.

        Raises DataError for what can't be read."""
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.shape[2:] not in ((), (1,), (3,)):
                raise DataError(f"the image is {source.dtype} {source.shape}; expected uint8 (H, W) or (H, W, C)")
            source = Image.fromarray(source[..., 0] if source.shape[2:] == (1,) else source)
        return self.predictor.transform.decode_whole(source)

    def mask(self, pixels: Array, kept: int = KEPT_PIXELS) -> Array:
        """Return the class of each pixel of a decoded picture (H, W, C): (H, W) uint8. In tiles where it is large."""
        seen = self.seen(pixels)
        made = np.empty(seen.shape[:2], np.uint8)
        for tile in self.tiles(seen, kept):
            tile.put(self.classes(tile.window_of(seen)[None])[0], made)
        return of_size(made, (pixels.shape[0], pixels.shape[1]))

    @cached_property
    def margin(self) -> int:
        """The margin of tiles in pixels, found by one pass when it is first needed."""
        return margin_for(self.reach)

    @cached_property
    def reach(self) -> int | None:
        """How many pixels away a pixel changes the mask at most, found when it is first needed; None: everywhere."""
        predictor = self.predictor
        return reach_of(predictor.network, predictor.bundle.in_channels, predictor.machine.device)

    @property
    def notice(self) -> str | None:
        """What to know of the masks so far: that tiles were cut from images of which each pixel depends on all."""
        if "reach" not in self.__dict__ or self.reach is not None:
            return None
        return (
            f"pictures of more than {KEPT_PIXELS} pixels a side go through the network in tiles, and each pixel of its "
            "masks depends on the whole picture: at the tiles' borders masks may differ from those of whole pictures"
        )

    def tiles(self, seen: Array, kept: int = KEPT_PIXELS) -> Iterator[Tile]:
        """Yield the tiles of a picture (H, W, C) as the network sees it; one, without a margin, where it is small."""
        size = (seen.shape[0], seen.shape[1])
        return tiles_of(size, 0 if max(size) <= kept else self.margin, kept)

    def classes(self, pixels: Array) -> Array:
        """Return the likeliest class of each pixel: (B, h, w, C) of any size -> (B, h, w) uint8.

        What is too small for the network's halvings is continued by its border, and cut again."""
        height, width = pixels.shape[1], pixels.shape[2]
        try:
            outputs = self.outputs(torch.from_numpy(pixels))
        except RuntimeError:
            if min(height, width) >= ALIGNED_PIXELS:
                raise
            more = [(0, max(0, ALIGNED_PIXELS - side)) for side in (height, width)]
            return self.classes(np.pad(pixels, ((0, 0), *more, (0, 0)), mode="edge"))[:, :height, :width]
        return np.asarray(self.task.classes(outputs).to(torch.uint8).cpu().numpy())

    def outputs(self, pixels: Tensor) -> Tensor:
        """Run the network on pixels (B, h, w, C) of any size -> its outputs (B, num_outputs, h, w)."""
        machine = self.predictor.machine
        size = (pixels.shape[1], pixels.shape[2])
        images = msgspec.structs.replace(self.predictor.transform, image_size=size).finish(pixels)
        with torch.inference_mode(), machine.autocast():
            outputs: Tensor = self.predictor.network(machine.arrange(images.to(machine.device)))
        return outputs

    def seen(self, pixels: Array) -> Array:
        """Return a picture as the network is to see it, (H, W, C), resized as training resized it but not cut.

        Raises DataError for one so thin that it would be blown up."""
        transform = self.predictor.transform
        if transform.resize is not None:
            check_aspect((pixels.shape[0], pixels.shape[1]), "the image")
            height, width = covering_size((pixels.shape[0], pixels.shape[1]), transform.store_size)
            picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            resized = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
            pixels = resized[..., None] if resized.ndim == 2 else resized
        return np.array(pixels)  # writable, for torch


def of_size(mask: Array, size: tuple[int, int]) -> Array:
    """Bring a mask to a size (height, width) by nearest neighbour."""
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST))
