"""Crop a random box and resize it: Inception's augmentation (Szegedy et al. 2014), drawn as torchvision draws it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.config.augmentations import RandomResizedCrop
from netwright.data.augment.pixels import PixelRange, below, between, from_planes, to_planes

TRIES = 10
NUM_UNIFORMS = 2 * TRIES + 2


def random_resized_crop(
    pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: RandomResizedCrop, size: tuple[int, int]
) -> Tensor:
    """Cut a box of random area and aspect ratio and resize it: (B, H, W, C), uniforms (B, 22) -> (B, *size, C)."""
    height, width = pixels.shape[1:3]
    return resized_crop(pixels, draw_boxes(uniforms, height, width, settings.scale, settings.ratio), size)


def draw_boxes(
    uniforms: Tensor, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Draw boxes (B, 4) int64 (top, left, height, width) from uniforms (B, 22).

    The algorithm of torchvision's RandomResizedCrop.get_params: the first of ten tries that fits, else the largest
    centred box whose aspect ratio is allowed.
    """
    areas = between(uniforms[:, :TRIES], *scale) * (height * width)
    ratios = between(uniforms[:, TRIES : 2 * TRIES], math.log(ratio[0]), math.log(ratio[1])).exp()
    widths, heights = (areas * ratios).sqrt().round().long(), (areas / ratios).sqrt().round().long()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fits.int().argmax(dim=1, keepdim=True)  # the first of equal maxima
    drawn = torch.cat([heights.gather(1, first), widths.gather(1, first)], dim=1)
    largest = _largest(height, width, ratio)
    sizes = torch.where(fits.any(dim=1, keepdim=True), drawn, drawn.new_tensor(largest))
    room = sizes.new_tensor((height, width)) - sizes
    places = torch.where(fits.any(dim=1, keepdim=True), below(uniforms[:, 2 * TRIES :], room + 1), room // 2)
    return torch.cat([places, sizes], dim=1)


def _largest(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Return the height and width of the largest box whose aspect ratio, width by height, lies within `ratio`."""
    if width / height < min(ratio):
        return min(round(width / min(ratio)), height), width
    if width / height > max(ratio):
        return height, min(round(height * max(ratio)), width)
    return height, width


def resized_crop(pixels: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize each sample's box, bilinear and antialiased: (B, H, W, C), boxes (B, 4) int64 -> (B, *size, C).

    On the CPU one call a sample: the native uint8 kernel needs 0.4 ms where products with dense weights take 7 ms
    (392 x 392 x 3 to 224 x 224, one thread). Elsewhere two batched products. They differ by at most 1 of 255.
    """
    if pixels.device.type == "cpu":
        return _resized_one_by_one(pixels, boxes, size)
    return resized_by_products(pixels, boxes, size)


def _resized_one_by_one(pixels: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    direct = pixels.dtype in (torch.uint8, torch.float32)
    source = (pixels if direct else pixels.float()).permute(0, 3, 1, 2)
    resized = torch.empty((pixels.shape[0], *size, pixels.shape[3]), dtype=pixels.dtype)
    for sample, (top, left, height, width) in enumerate(boxes.tolist()):
        box = source[sample : sample + 1, :, top : top + height, left : left + width]
        image = F.interpolate(box, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
        resized[sample] = image if direct or pixels.is_floating_point() else image.round()
    return resized


def resized_by_products(pixels: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Do `resized_crop` by two batched matrix products, rows and columns, with one weight matrix a sample and axis."""
    tops, lefts, heights, widths = boxes.unbind(dim=1)
    with torch.autocast(pixels.device.type, enabled=False):  # bf16 has too few digits for 255 levels
        row_weights = _weights(tops, heights, pixels.shape[1], size[0])
        column_weights = _weights(lefts, widths, pixels.shape[2], size[1])
        planes = to_planes(pixels, 0.0)
        num_samples, channels, height, _ = planes.shape
        planes = planes.flatten(1, 2).bmm(column_weights.transpose(1, 2)).view(num_samples, channels, height, size[1])
        planes = row_weights.unsqueeze(1).matmul(planes)
    return from_planes(planes, 0.0, pixels.dtype)


def _weights(starts: Tensor, lengths: Tensor, num_inputs: int, num_outputs: int) -> Tensor:
    """Return the triangle filter's weights (B, num_outputs, num_inputs) for the stretches [start, start + length).

    As Pillow and torch do it: the filter widens with the scale when shrinking, its weights add up to 1 at borders.
    """
    inputs = torch.arange(num_inputs, device=starts.device) - starts.view(-1, 1, 1)
    lengths = lengths.view(-1, 1, 1)
    scales = lengths.float() / num_outputs
    centres = scales * (torch.arange(num_outputs, device=starts.device) + 0.5).view(1, -1, 1)
    weights = (1 - (inputs - centres + 0.5).abs() / scales.clamp(min=1)).clamp_(min=0)
    weights = weights * ((inputs >= 0) & (inputs < lengths))
    return weights / weights.sum(dim=2, keepdim=True)
