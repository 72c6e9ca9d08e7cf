"""Crop a random box and resize it: Inception's augmentation (Szegedy et al. 2014), drawn as torchvision draws it."""

import math

import torch
from torch import Tensor

from netwright.data.augment.pixels import as_dtype, below, between, from_planes, to_planes
from netwright.data.boxes import cut_boxes

TRIES = 10
NUM_UNIFORMS = 2 * TRIES + 2


def draw_boxes(uniforms: Tensor, sizes: Tensor, scale: tuple[float, float], ratio: tuple[float, float]) -> Tensor:
    """Draw boxes (B, 4) int64 (top, left, height, width) from uniforms (B, 22), each in a picture of its own size.

    `sizes` (B, 2) int64, height and width. The algorithm of torchvision's RandomResizedCrop.get_params: the first of
    ten tries that fits, else the largest centred box whose aspect ratio is allowed.
    """
    height, width = sizes[:, 0:1], sizes[:, 1:2]
    areas = between(uniforms[:, :TRIES], *scale) * (height * width)
    ratios = between(uniforms[:, TRIES : 2 * TRIES], math.log(ratio[0]), math.log(ratio[1])).exp()
    widths, heights = (areas * ratios).sqrt().round().long(), (areas / ratios).sqrt().round().long()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fits.int().argmax(dim=1, keepdim=True)  # the first of equal maxima
    drawn = torch.cat([heights.gather(1, first), widths.gather(1, first)], dim=1)
    found = fits.any(dim=1, keepdim=True)
    boxes = torch.where(found, drawn, _largest(sizes, ratio))
    room = sizes - boxes
    places = torch.where(found, below(uniforms[:, 2 * TRIES :], room + 1), room // 2)
    return torch.cat([places, boxes], dim=1)


def _largest(sizes: Tensor, ratio: tuple[float, float]) -> Tensor:
    """Return the height and width (B, 2) of each picture's largest box whose aspect, width by height, is in `ratio`."""
    height, width = sizes.float().unbind(dim=1)
    narrowed = torch.stack([(width / min(ratio)).round().minimum(height), (height * max(ratio)).round().minimum(width)])
    return narrowed.t().clamp_(min=1).long()


def resized_crop(pixels: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize each sample's box, bilinear and antialiased: (B, H, W, C), boxes (B, 4) int64 -> (B, *size, C).

    On the CPU one call a sample: the native uint8 kernel needs 0.4 ms where products with dense weights take 7 ms
    (392 x 392 x 3 to 224 x 224, one thread). Elsewhere two batched products. They differ by at most 1 of 255.
    """
    if pixels.device.type != "cpu":
        return resized_by_products(pixels, boxes, size)
    direct = pixels.dtype in (torch.uint8, torch.float32)
    resized = cut_boxes(list((pixels if direct else pixels.float()).numpy()), boxes.tolist(), size)
    if direct:
        return resized
    return as_dtype(resized if pixels.is_floating_point() else resized.round(), pixels.dtype)


def resized_mask(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Do `resized_crop` by nearest neighbour: whole values are copied, none is mixed.

    The arithmetic is that of torch's interpolate(mode="nearest"): a float32 scale, rounded down."""
    _, height, width, channels = masks.shape
    tops, lefts, heights, widths = boxes.unbind(dim=1)
    rows = tops.unsqueeze(1) + _nearest(heights, size[0])
    columns = lefts.unsqueeze(1) + _nearest(widths, size[1])
    samples = torch.arange(len(masks), device=masks.device).view(-1, 1, 1)
    places = (samples * height + rows.unsqueeze(2)) * width + columns.unsqueeze(1)
    return masks.reshape(-1, channels).index_select(0, places.flatten()).view(len(masks), *size, channels)


def _nearest(lengths: Tensor, num_outputs: int) -> Tensor:
    """Return which place of each stretch every output takes: lengths (B,) int64 -> (B, num_outputs) int64."""
    scales = lengths.to(torch.float32).unsqueeze(1) / num_outputs
    places = (torch.arange(num_outputs, device=lengths.device) * scales).floor().long()
    return places.minimum(lengths.unsqueeze(1) - 1)


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
