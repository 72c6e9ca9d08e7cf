"""Brightness, contrast, saturation and hue, in each sample's own order.

The arithmetic is torchvision's (`adjust_brightness`, …): integers are cut, not rounded, after every adjustment.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from netwright.config.augmentations import ColorJitter
from netwright.data.augment.pixels import (
    PixelRange,
    below,
    between,
    from_planes,
    in_turn,
    may_be_any,
    per_sample,
    to_planes,
)

NUM_UNIFORMS = 8
BRIGHTNESS, CONTRAST, SATURATION = range(3)


class Jitter(NamedTuple):
    """The parameters of a batch's colour jitter."""

    factors: Tensor  # (B, 3) float32: brightness, contrast, saturation; 1 changes nothing
    order: Tensor  # (B, 3) int64: which of the three comes first, second, third
    hue_shifts: Tensor | None  # (B,) float32 in turns; None: no sample's hue changes
    num_before_hue: Tensor  # (B,) int64 in 0 ... 3: how many of the three come before the hue


def random_color_jitter(pixels: Tensor, uniforms: Tensor, limits: PixelRange, *, settings: ColorJitter) -> Tensor:
    """Change the colours of each sample: (B, H, W, C) -> the same, C = 1 or 3, uniforms (B, 8)."""
    return in_turn(
        pixels, lambda some, *of_some: adjust_color(some, Jitter(*of_some), limits), *draw_jitter(uniforms, settings)
    )


def draw_jitter(uniforms: Tensor, settings: ColorJitter) -> Jitter:
    """Draw factors from [max(0, 1 - v), 1 + v], shifts from [-hue, hue] and one of 24 orders from uniforms (B, 8)."""
    strengths = (settings.brightness, settings.contrast, settings.saturation)
    factors = [between(uniforms[:, i], max(0.0, 1 - v), 1 + v) for i, v in enumerate(strengths)]
    hue_shifts = between(uniforms[:, 3], -settings.hue, settings.hue) if settings.hue else None
    return Jitter(torch.stack(factors, dim=1), uniforms[:, 4:7].argsort(dim=1), hue_shifts, below(uniforms[:, 7], 4))


def adjust_color(pixels: Tensor, jitter: Jitter, limits: PixelRange) -> Tensor:
    """Apply brightness, contrast, saturation and hue in each sample's order: (B, H, W, C) -> the same.

    Values are kept within black and white where white is known. Gray images have no saturation and no hue.
    The hue is turned once for the whole batch: before it run the steps that precede it in a sample's order, after it
    the others, and a step that is not a sample's turn has factor 1.
    """
    planes = to_planes(pixels, limits.black)
    white = None if limits.white is None else limits.white - limits.black
    whole = not pixels.is_floating_point()
    has_color = planes.shape[1] == 3
    factors = jitter.factors.gather(1, jitter.order)
    if not has_color:
        factors = torch.where(jitter.order == SATURATION, 1.0, factors)
    if jitter.hue_shifts is None or not has_color:
        return from_planes(_steps(planes, factors, jitter.order, white, whole), limits.black, pixels.dtype)
    is_before = torch.arange(3, device=pixels.device) < jitter.num_before_hue.unsqueeze(1)
    planes = _steps(planes, torch.where(is_before, factors, 1.0), jitter.order, white, whole)
    planes = _turn_hue(planes, jitter.hue_shifts, white, whole)
    planes = _steps(planes, torch.where(is_before, 1.0, factors), jitter.order, white, whole)
    return from_planes(planes, limits.black, pixels.dtype)


def _steps(planes: Tensor, factors: Tensor, order: Tensor, white: float | None, whole: bool) -> Tensor:
    for step in range(order.shape[1]):
        planes = _blend(planes, factors[:, step], order[:, step], white, whole)
    return planes


def _blend(planes: Tensor, factors: Tensor, adjustments: Tensor, white: float | None, whole: bool) -> Tensor:
    """Move each sample (of planes, in place) away from black, its mean gray or its own gray, by its adjustment.

    All three are `image * factor + base * (1 - factor)`, so that one pass serves a batch with different ones. What none
    of the samples needs is left out: one image alone needs a third of it.
    """
    rest = 1 - factors
    if not may_be_any(rest):
        return planes
    of_gray, of_mean = rest * (adjustments == SATURATION), rest * (adjustments == CONTRAST)
    has_gray, has_mean = may_be_any(of_gray), may_be_any(of_mean)
    gray = gray_of(planes, whole) if has_gray or has_mean else None
    means = mean_of(gray) if gray is not None and has_mean else None
    planes.mul_(per_sample(factors))
    if gray is not None and has_gray:
        base = gray * per_sample(of_gray)
        planes.add_(base if means is None else base.add_(per_sample(of_mean * means)))
    elif means is not None:
        planes.add_(per_sample(of_mean * means))
    return kept(planes, white, whole)


def gray_of(planes: Tensor, whole: bool) -> Tensor:
    """Return the gray (B, 1, H, W) of planes (B, C, H, W), black = 0, by torchvision's weights; cut if `whole`."""
    if planes.shape[1] == 1:
        return planes
    red, green, blue = planes[:, 0:1], planes[:, 1:2], planes[:, 2:3]
    gray = red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return gray.floor_() if whole else gray


def mean_of(gray: Tensor) -> Tensor:
    """Return the mean of each sample, (B,) float32."""
    # whole numbers add up exactly in float64: the same bits whatever the batch and the number of threads (MPS has none)
    precise = torch.float32 if gray.device.type == "mps" else torch.float64
    return gray.mean(dim=(1, 2, 3), dtype=precise).float()


def kept(planes: Tensor, white: float | None, whole: bool) -> Tensor:
    """Keep planes within black, 0, and white, in place; whole numbers are cut."""
    planes = planes if white is None else planes.clamp_(0, white)
    return planes.floor_() if whole else planes


def _turn_hue(planes: Tensor, shifts: Tensor, white: float | None, whole: bool) -> Tensor:
    """Turn the hue by `shifts` (B,) turns at the same value and saturation, through HSV (Smith 1978).

    No scale is needed: channel n of (5, 3, 1) is max - (max - min) * clamp(min(k, 4 - k), 0, 1), k = (n + 6 h) mod 6.
    """
    red, green, blue = planes.unbind(dim=1)
    low, high = red.minimum(green).minimum(blue), red.maximum(green).maximum(blue)  # `aminmax` takes 10 times as long
    spread = high - low
    divisor = torch.where(spread == 0, 1.0, spread)
    sixths = torch.where(high == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sixths = torch.where(high == red, (green - blue) / divisor, sixths) + 6 * shifts.view(-1, 1, 1)
    turned = torch.empty_like(planes)
    for channel, number in enumerate((5, 3, 1)):
        part = sixths + number
        part.sub_((part / 6).floor_().mul_(6))  # `remainder` calls fmod for each; where they differ, at 0, both give 0
        part = torch.minimum(part, 4 - part).clamp_(0, 1)
        torch.sub(high, part.mul_(spread), out=turned[:, channel])
    if whole and white is not None:  # torchvision's way from [0, 1] back to whole numbers
        turned.mul_((white + 1 - 1e-3) / white)
    return kept(turned, white, whole)
