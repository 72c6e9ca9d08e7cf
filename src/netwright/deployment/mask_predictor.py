"""From a picture of any size to its mask, by the predictor of a bundle."""

from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from netwright.data.decode import decode_picture
from netwright.data.labelled import Array
from netwright.data.resize import covering_size
from netwright.deployment.predictor import Predictor
from netwright.deployment.tiles import KEPT_PIXELS, margin_for, reach_of, run_in_tiles
from netwright.errors import InputError
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
        """Decode one picture in its own size: (H, W, C) uint8. Raises DataError for what can't be read."""
        transform = self.predictor.transform
        window = transform.value_range
        image = decode_picture(source, transform.channels, transform.background, window)
        pixels = np.asarray(image)
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def mask(self, pixels: Array, kept: int = KEPT_PIXELS) -> Array:
        """Return the class of each pixel of a decoded picture (H, W, C): (H, W) uint8. In tiles where it is large."""
        size = (pixels.shape[0], pixels.shape[1])
        seen = self._seen(pixels)
        made = np.empty((seen.shape[0], seen.shape[1]), np.uint8)
        whole = max(made.shape) <= kept
        for tile, outputs in run_in_tiles(
            self.outputs, torch.from_numpy(seen)[None], 0 if whole else self.margin, kept
        ):
            top, left, bottom, right = tile.kept
            made[top:bottom, left:right] = self.task.classes(outputs)[0].to(torch.uint8).cpu().numpy()
        if made.shape != size:
            made = np.asarray(Image.fromarray(made).resize((size[1], size[0]), Image.Resampling.NEAREST))
        return made

    @cached_property
    def margin(self) -> int:
        """The margin of tiles in pixels, found by one pass when it is first needed."""
        predictor = self.predictor
        return margin_for(reach_of(predictor.network, predictor.bundle.in_channels, predictor.machine.device))

    def outputs(self, pixels: Tensor) -> Tensor:
        """Run the network on pixels (1, h, w, C) of any size -> its outputs (1, num_outputs, h, w)."""
        machine = self.predictor.machine
        size = (pixels.shape[1], pixels.shape[2])
        images = msgspec.structs.replace(self.predictor.transform, image_size=size).finish(pixels)
        with torch.inference_mode(), machine.autocast():
            outputs: Tensor = self.predictor.network(machine.arrange(images.to(machine.device)))
        return outputs

    def _seen(self, pixels: Array) -> Array:
        """Return a picture as the network is to see it, (H, W, C), resized as training resized it but not cut."""
        transform = self.predictor.transform
        if transform.resize is not None:
            height, width = covering_size((pixels.shape[0], pixels.shape[1]), transform.store_size)
            picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            resized = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
            pixels = resized[..., None] if resized.ndim == 2 else resized
        return np.array(pixels)  # writable, for torch
