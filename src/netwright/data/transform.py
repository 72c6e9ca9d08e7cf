"""The evaluation transform: one object for training, evaluation and serving, kept in the bundle."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from netwright.data.arrays import check_range
from netwright.data.boxes import Box, cut_boxes
from netwright.data.channels import to_channels
from netwright.data.decode import MAX_PIXELS, decode_sized
from netwright.data.labelled import Array
from netwright.data.resize import central_box, centre_offset, check_aspect, fit, fit_reduced, shrink, whole_size
from netwright.data.row_transform import RowTransform
from netwright.errors import DataError

Picture = str | Path | bytes | Image.Image | Array


class EvalTransform(msgspec.Struct, frozen=True, kw_only=True):
    """From a picture to the network's input, without anything random.

    Sizes are (height, width) in pixels. `decode` makes the store's pixels, `view` what the network sees of one,
    `finish` the network's input. A picture is resized to cover `store_size` and cut to it. `whole` ones (random resized
    crop) are only made smaller, until they just cover it, and not cut; the network sees the central box that `resize`,
    the short side before the cut, leaves. uint8 pixels mean 0 (black) to 255; pixels of another dtype lie in
    `value_range` (black, white). `mean` and `std`, one a channel, are of pixels in [0, 1]. kind: "images"; "ready"
    (floats of the user's own data set, taken as they are); "custom" (the user's own transform takes the place of
    scaling and normalising, see `custom.apply_custom`); "rows" (of a table, read by `table`: in the store an image of
    one pixel with a channel a feature, for the network (B, D)). `views` of the network's input are what a prediction is
    the mean over, see `views.with_views`."""

    channels: int
    image_size: tuple[int, int]
    store_size: tuple[int, int]
    resize: int | None = None
    whole: bool = False
    background: int = 255
    value_range: tuple[float, float] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    kind: Literal["images", "ready", "custom", "rows"] = "images"
    views: Literal["none", "mirror", "mirror_shift"] = "none"
    table: RowTransform | None = None

    def decode(self, source: Picture, max_pixels: int = MAX_PIXELS) -> Array:
        """Return a picture as the store keeps it: (*store_size, C), or its own size; uint8, float32 for other arrays.

        The memory may be the source's own, or not writable. Arrays are (H, W) or (H, W, C); those that are not uint8
        lie in `value_range`.
        Raises DataError, with the file's name and the reason, for what can't be read."""
        if self.kind == "rows":
            raise DataError("the network takes the rows of a table; give a table (.csv, .tsv, .parquet), not pictures")
        if self.kind == "ready":
            raise DataError("the network was trained on ready tensors of your own Dataset; give tensors, not pictures")
        if isinstance(source, np.ndarray):
            return self._decode_array(source)
        source = Path(source) if isinstance(source, str) else source
        picture = self._decode_picture(source, max_pixels)
        pixels = np.asarray(picture)
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def decode_whole(self, source: Path | bytes | Image.Image, max_pixels: int = MAX_PIXELS) -> Array:
        """Return a picture in its own size, upright, as (H, W, C) uint8: for masks. Raises DataError as `decode`."""
        picture, _ = decode_sized(source, self.channels, self.background, self.value_range, max_pixels=max_pixels)
        pixels = np.asarray(picture)
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def _decode_picture(self, source: Path | bytes | Image.Image, max_pixels: int) -> Image.Image:
        # A JPEG decoder can give a half, a quarter or an eighth of each side. Of sharp photographs what is just larger
        # than the store is 2.0 levels from the full decode, on average, after resizing, and sharper; enlarged ones 0.9
        draft = None if isinstance(source, Image.Image) else self.store_size
        picture, size = decode_sized(source, self.channels, self.background, self.value_range, draft, max_pixels)
        if size == self.store_size:
            return picture
        check_aspect(size, str(source) if isinstance(source, Path) else "the image")
        return self._fit(picture, size)

    def _fit(self, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Bring a decoded picture, of `size` before any JPEG draft, to the size that the store keeps."""
        reduced = (picture.height, picture.width) != size
        if self.whole:
            return shrink(picture, self.kept_size(size), size if reduced else None)
        return fit_reduced(picture, self.store_size, size) if reduced else fit(picture, self.store_size)

    def kept_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) that the store keeps of a picture of `size`."""
        return whole_size(size, self.store_size) if self.whole else self.store_size

    def _decode_array(self, pixels: Array) -> Array:
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if pixels.ndim != 3 or 0 in pixels.shape or pixels.shape[2] not in (1, 3, 4) or pixels.dtype.kind not in "buif":
            raise DataError(
                f"the image is an array {pixels.dtype} {pixels.shape}; expected (H, W) or (H, W, C), best uint8"
            )
        if pixels.dtype == np.bool_:
            pixels = pixels.astype(np.uint8) * np.uint8(255)
        if pixels.shape[2] == 4:
            if pixels.dtype != np.uint8:
                raise DataError("the image is a float array with 4 channels; composite it first and give 3: [..., :3]")
            return self.decode(Image.fromarray(pixels))
        if pixels.dtype == np.uint8 and self.value_range in (None, (0, 255)):
            return self._fit_array(to_channels(pixels[None], self.channels)[0])
        if self.value_range is None:
            raise DataError(
                f"the image is an array of {pixels.dtype} and the network was trained on 8-bit images; give uint8"
            )
        if not np.isfinite(pixels).all():
            raise DataError("the image has NaN or infinite values; repair it")
        check_range(float(pixels.min()), float(pixels.max()), self.value_range, "the image")
        return self._fit_array(to_channels(pixels[None].astype(np.float32), self.channels)[0])

    def _fit_array(self, pixels: Array) -> Array:
        """Resize an array (H, W, C) as a picture is; floats channel by channel in Pillow's mode F."""
        if pixels.shape[:2] == self.store_size:
            return pixels
        size = (pixels.shape[0], pixels.shape[1])
        check_aspect(size, "the image")
        if pixels.dtype == np.uint8 and self.channels == 3:
            return np.asarray(self._fit(Image.fromarray(np.ascontiguousarray(pixels)), size))
        planes = [np.ascontiguousarray(pixels[..., channel]) for channel in range(pixels.shape[2])]
        fitted = [np.asarray(self._fit(Image.fromarray(plane), size)) for plane in planes]
        return np.stack(fitted, axis=2)

    def central_box(self, size: tuple[int, int]) -> Box:
        """Return the box (top, left, height, width) that evaluation sees of a whole picture of (height, width)."""
        return central_box(size, self.image_size, self.resize or min(self.image_size))

    def view(self, pixels: Array) -> Array:
        """Return what the network sees of a decoded picture, before it is made floats: of a whole one (*image_size, C).

        Other pixels are returned as they are; `finish` cuts them."""
        if not self.whole:
            return pixels
        box = self.central_box((pixels.shape[0], pixels.shape[1]))
        return np.asarray(cut_boxes([pixels], [box], self.image_size)[0].numpy())

    def unit(self, pixels: Tensor) -> Tensor:
        """Return pixels (B, H, W, C) as float32 in [0, 1], where 0 is black: what augmentation of floats works on."""
        black, white = (0.0, 255.0) if pixels.dtype == torch.uint8 else self.value_range or (0.0, 1.0)
        return pixels.to(torch.float32, copy=True).sub_(black).mul_(1 / (white - black))

    def crop(self, pixels: Tensor) -> Tensor:
        """Cut `image_size` from the centre of (B, H, W, C); a view, and nothing at all of what is not larger."""
        height, width = self.image_size
        if pixels.shape[1] <= height and pixels.shape[2] <= width:
            return pixels
        top, left = centre_offset((pixels.shape[1], pixels.shape[2]), self.image_size)
        return pixels[:, top : top + height, left : left + width]

    def finish(self, pixels: Tensor, in_unit_range: bool = False, out: Tensor | None = None) -> Tensor:
        """Return (B, C, h, w) float32 from (B, H, W, C): centre crop, scale to [0, 1], normalise.

        The result is a view of memory in NHWC order, that is in channels_last format. `in_unit_range`: floats that
        `unit` has scaled already; `out`: memory (B, h, w, C) for the result. Never writes into `pixels`."""
        pixels = self.crop(pixels)
        if self.kind == "rows":
            return pixels.to(torch.float32).flatten(1)
        if self.kind == "ready":
            return pixels.to(torch.float32).permute(0, 3, 1, 2)
        if pixels.dtype == torch.uint8:
            black, white = 0.0, 255.0
        else:
            black, white = (0.0, 1.0) if in_unit_range else self.value_range or (0.0, 1.0)
        size, height, width, channels = pixels.shape
        if out is None:
            out = torch.empty(pixels.shape, dtype=torch.float32, device=pixels.device)
        floats = out.copy_(pixels)
        # one row of W·C factors and not C: an inner loop of 3 numbers is 10 times slower on a CPU (4.7 against 0.44 ms
        # for 512 × 32 × 32 × 3)
        scale, bias = _affine(self.mean, self.std, black, white, channels, width, pixels.device)
        rows = floats.view(size, height, width * channels)
        return rows.mul_(scale).add_(bias).view(size, height, width, channels).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def _affine(
    mean: tuple[float, ...],
    std: tuple[float, ...],
    black: float,
    white: float,
    channels: int,
    width: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Return scale and bias (width·C,) with x·scale + bias == ((x - black) / (white - black) - mean) / std."""
    means = torch.tensor(mean, dtype=torch.float64).expand(channels)
    stds = torch.tensor(std, dtype=torch.float64).expand(channels)
    scale = 1 / ((white - black) * stds)
    bias = -black * scale - means / stds
    return tuple(values.repeat(width).to(torch.float32).to(device) for values in (scale, bias))  # type: ignore[return-value]


def categories_of(transform: EvalTransform) -> tuple[int, ...]:
    """Return how many codes each category of a table has; none of images."""
    return () if transform.table is None else transform.table.category_sizes
