"""Checks that arrays are images and targets, with messages that say how to mend them; their assembly from splits."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from netwright.data.labelled import SPLITS, Array, ArrayImages, LabelledData, Rows
from netwright.errors import DataError, did_you_mean, listed

ValueRange = tuple[float, float]


def check_pixels(pixels: Array, where: str, value_range: ValueRange | None) -> Array:
    """Return pixels as (N, H, W, C), C 1 or 3: uint8, or another dtype inside `value_range`.

    Raises DataError for another shape, a dtype without declared range, NaN or infinity, values far outside the range.
    """
    if pixels.dtype == object or pixels.dtype.kind not in "buif":
        raise DataError(f"{where} has dtype {pixels.dtype}; expected numbers, best uint8 (N, H, W) or (N, H, W, C)")
    if pixels.ndim not in (3, 4):
        raise DataError(
            f"{where} has shape {pixels.shape}; expected (N, H, W) or (N, H, W, C){_flat_hint(pixels.shape)}"
        )
    if 0 in pixels.shape:
        raise DataError(f"{where} is empty (shape {pixels.shape}); expected at least one image")
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    if pixels.shape[3] not in (1, 3):
        raise DataError(f"{where} has shape {pixels.shape}; {_channel_hint(pixels.shape)}")
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.uint8 and value_range in (None, (0, 255)):
        return pixels
    return _check_values(pixels, where, value_range)


def _flat_hint(shape: tuple[int, ...]) -> str:
    side = math.isqrt(shape[1]) if len(shape) == 2 else 0
    return (
        f"; flat rows of {side * side} pixels become images with .reshape(-1, {side}, {side})"
        if side > 1 and side**2 == shape[1]
        else ""
    )


def _channel_hint(shape: tuple[int, ...]) -> str:
    if shape[1] in (1, 3):
        return "NumPy images are (N, H, W, C); transpose them: .transpose(0, 2, 3, 1)"
    return f"expected 1 or 3 channels, not {shape[3]}; keep three of them: [..., :3]"


def _check_values(pixels: Array, where: str, value_range: ValueRange | None) -> Array:
    """Check every value in blocks (no second copy of the whole); uint8 with a declared range becomes int16."""
    low, high = math.inf, -math.inf
    block = max(1, 2**22 // max(1, pixels[0].size))
    bad, first = 0, -1
    for start in range(0, len(pixels), block):
        part = pixels[start : start + block]
        finite = np.isfinite(part)
        if not finite.all():
            images = np.flatnonzero(~finite.reshape(len(part), -1).all(axis=1))
            first = start + int(images[0]) if first < 0 else first
            bad += int((~finite).sum())
        else:
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    if bad:
        raise DataError(
            f"{where} has {bad} values that are NaN or infinite, first in image {first}; repair or leave out"
        )
    if value_range is None:
        raise DataError(
            f"{where} has dtype {pixels.dtype} and values from {low:g} to {high:g}: what is black and what is white? "
            f"Declare it, for example `data.value_range: {_range_guess(low, high)}`, or give uint8"
        )
    check_range(low, high, value_range, where)
    return pixels.astype(np.int16) if pixels.dtype == np.uint8 else pixels


def _range_guess(low: float, high: float) -> str:
    if 0 <= low and high <= 1:
        return "[0, 1]"
    if -1 <= low and high <= 1:
        return "[-1, 1]"
    return "[0, 255]" if 0 <= low and 100 < high <= 255 else f"[{min(low, 0):g}, {high:g}]"


def check_range(low: float, high: float, value_range: ValueRange, where: str) -> None:
    """Raise DataError when values lie further outside the declared range than the range is wide."""
    black, white = value_range
    span = white - black
    if low < black - span or high > white + span:
        raise DataError(
            f"{where} has values from {low:g} to {high:g} and `data.value_range` is [{black:g}, {white:g}]; "
            "declare the range that the values really have"
        )


def check_targets(labels: Array, count: int, where: str) -> Array:
    """Return labels as (N,): int64, or str for text. Raises DataError for other shapes, types, lengths, negatives."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        hint = "; one-hot rows become integers with .argmax(axis=1)" if labels.ndim == 2 else ""
        raise DataError(f"{where} has shape {labels.shape}; expected (N,) or (N, 1){hint}")
    if len(labels) != count:
        raise DataError(f"{where} has {len(labels)} labels for {count} images; expected one label an image")
    if labels.dtype.kind in "US":
        return labels.astype(str)
    if labels.dtype == object and all(isinstance(label, str) for label in labels):
        return labels.astype(str)
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.round(labels)).all():
        labels = labels.astype(np.int64)  # whole numbers read from a table
    if labels.dtype.kind not in "bui":
        raise DataError(f"{where} has dtype {labels.dtype}; expected integers from 0, or class names as text")
    labels = labels.astype(np.int64)
    if labels.min() < 0:
        raise DataError(
            f"{where} has the target {labels.min()}, first in row {int(labels.argmin())}; expected 0 or more"
        )
    return labels


def name_classes(
    labels: Mapping[str, Array], names: Sequence[str] | None, where: str
) -> tuple[tuple[str, ...], dict[str, Rows]]:
    """Return class names and every split's targets (N,) int64. Raises DataError for targets that no class is for."""
    text = [part.dtype.kind == "U" for part in labels.values()]
    if any(text):
        if not all(text):
            raise DataError(f"{where} has text labels in some splits and numbers in others; use one of the two")
        known = (
            tuple(names)
            if names
            else tuple(sorted({str(name) for part in labels.values() for name in np.unique(part)}))
        )
        return known, {split: _positions(part, known, f"{where}, {split}") for split, part in labels.items()}
    highest = max(int(part.max()) for part in labels.values())
    if names is not None and highest >= len(names):
        raise DataError(f"{where} has the target {highest} and {len(names)} class names; expected targets below that")
    if names is None and highest >= 100_000:
        raise DataError(
            f"{where} has the target {highest}; class numbers start at 0 and have no such gaps: renumber them"
        )
    known = tuple(names) if names is not None else tuple(str(number) for number in range(highest + 1))
    return known, dict(labels)


def _positions(labels: Array, known: Sequence[str], where: str) -> Rows:
    place = {name: position for position, name in enumerate(known)}
    unknown = sorted({str(name) for name in np.unique(labels)} - set(place))
    if unknown:
        raise DataError(f"{where} has labels without a class: {listed(unknown)}{did_you_mean(unknown[0], known)}")
    return np.asarray([place[str(name)] for name in labels], dtype=np.int64)


def assemble_arrays(
    name: str,
    parts: Mapping[str, tuple[Array, Rows]],
    class_names: tuple[str, ...],
    value_range: ValueRange | None,
    notices: Sequence[str] = (),
) -> LabelledData:
    """Join checked splits of (pixels (N, H, W, C), targets (N,)). Raises DataError when their images differ."""
    ordered = {split: parts[split] for split in (*SPLITS, "all") if split in parts}
    shapes = {split: (pixels.shape[1:], str(pixels.dtype)) for split, (pixels, _) in ordered.items()}
    if len(set(shapes.values())) > 1:
        said = "; ".join(f"{split}: {shape} {dtype}" for split, (shape, dtype) in shapes.items())
        raise DataError(f"{name}: the images of the splits differ in shape or dtype ({said}); make them equal")
    given, start = {}, 0
    for split, (_, targets) in ordered.items():
        given[split] = np.arange(start, start + len(targets), dtype=np.int64)
        start += len(targets)
    arrays = [pixels for pixels, _ in ordered.values()]
    pixels = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return LabelledData(
        name=name,
        class_names=class_names,
        images=ArrayImages(pixels, None if pixels.dtype == np.uint8 else value_range),
        targets=np.concatenate([targets for _, targets in ordered.values()]),
        sample_names=[f"{split}/{row}" for split, (_, targets) in ordered.items() for row in range(len(targets))],
        given=given,
        notices=tuple(notices),
    )
