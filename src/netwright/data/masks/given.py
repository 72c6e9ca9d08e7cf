"""Masks that Python gives beside their images: arrays, pictures, or the items of a data set of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from netwright.config.sections import Data
from netwright.data.given import as_pair, by_split, is_dataset, open_given
from netwright.data.items import read_item, seeded
from netwright.data.labelled import Array, ArrayImages, ItemImages, LabelledData, MaskArrays
from netwright.data.masks.coding import Coding, found_coding, said_coding
from netwright.data.masks.values import MOST_VALUES, Look, packed, values_of
from netwright.errors import DataError, listed
from netwright.runtime.randomness import seed_of

_MOST_LISTED = 20
_MOST_VALUES = 8


def holds_masks(given: object) -> bool:
    """Say whether the targets that Python gives are masks: of more than one dimension an image, or pictures."""
    part: Any = next(iter(given.values()), None) if isinstance(given, Mapping) else given
    if isinstance(part, (tuple, list)) and len(part) == 2:
        targets = part[1]
        if isinstance(targets, (Tensor, np.ndarray)):
            return targets.ndim >= 3
        return isinstance(targets, (list, tuple)) and len(targets) > 0 and _is_mask(targets[0])
    if part is None or isinstance(part, (Tensor, np.ndarray, str, bytes)) or not hasattr(part, "__getitem__"):
        return False
    try:
        with seeded(seed_of(0, "item", 0, 0)):
            item = part[0]
        return len(item) == 2 and _is_mask(item[1])
    except Exception:  # the user's own code: what is wrong with it is said when it is opened
        return False


def open_given_masks(
    given: object, data: Data, value_range: tuple[float, float] | None, *, training: bool = True
) -> LabelledData:
    """Make labelled data of images and masks: ((N, H, W[, C]), (N, H, W)), lists of pictures and masks, a map-style
    Dataset of such pairs, or a dict of these with train, val, test.

    Raises DataError that names every mask that can't be used, and for a Dataset whose pictures are made anew."""
    parts = by_split(given, training)
    pictures = {split: _images_of(part, split) for split, part in parts.items()}
    images = open_given(pictures.get("all", pictures), value_range, training=False)
    if isinstance(images.images, ItemImages) and images.images.kind != "fixed":
        raise DataError(
            "your Dataset makes its pictures anew or gives float tensors, and masks belong to pictures that stay: let "
            "it give PIL or uint8 pictures, and put what is random into `augmentation`"
        )
    by_row: dict[int, tuple[Array, bool] | str] = {}
    for split, rows in images.given.items():
        by_row |= zip(rows.tolist(), _masks_of(parts[split], split), strict=True)
    found = [by_row[row] for row in range(len(images))]
    coding, notices = _coding(images, found, data)
    arrays, colours = zip(*(each for each in found if not isinstance(each, str)), strict=True)
    masks = MaskArrays(arrays, colours, coding)
    return replace(
        images,
        class_names=coding.class_names,
        targets=masks.numbers(),
        notices=(*images.notices, *notices),
        task="segmentation",
        masks=masks,
    )


class _Pictures:
    """A data set of the images of another one, each with the target 0."""

    def __init__(self, pairs: Any) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.pairs[index][0], 0


def _images_of(part: Any, split: str) -> Any:
    """Return a split's images in the form that `open_given` takes, with targets that say nothing."""
    if is_dataset(part):
        return _Pictures(part)
    images, masks = as_pair(part, split)
    if len(images) != len(masks):
        raise DataError(f"{split} has {len(images)} images and {len(masks)} masks; expected one mask an image")
    return images, np.zeros(len(images), np.int64)


def _masks_of(part: Any, split: str) -> list[tuple[Array, bool] | str]:
    """Return each mask's values (H, W) and whether they are colours, or what is wrong with it."""
    if is_dataset(part):
        items = ItemImages((_Masks(part),), np.stack([np.zeros(len(part), np.int64), np.arange(len(part))], axis=1))
        masks: Sequence[Any] = [read_item(items, row, 0, 0) for row in range(len(part))]
    else:
        masks = part[1]
    return [_values(mask, f"mask {place} of {split}") for place, mask in enumerate(masks)]


class _Masks(_Pictures):
    """A data set of the masks of another one."""

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.pairs[index][1], 0


def _is_mask(target: Any) -> bool:
    return isinstance(target, Image.Image) or (isinstance(target, (Tensor, np.ndarray)) and target.ndim >= 2)


def _values(mask: Any, name: str) -> tuple[Array, bool] | str:
    if isinstance(mask, Image.Image):
        try:
            return values_of(mask, name)
        except DataError as error:
            return str(error)
    values = np.asarray(mask.detach().cpu() if isinstance(mask, Tensor) else mask)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim == 3 and values.shape[2] == 3 and values.dtype == np.uint8:
        return packed(Image.fromarray(values)), True
    if values.ndim != 2 or values.dtype.kind not in "buif":
        return f"{name}: is {values.dtype} {values.shape}; expected (H, W) whole numbers, or uint8 (H, W, 3) colours"
    if not (np.isfinite(values).all() and (values == np.round(values)).all()):
        return f"{name}: has numbers that are not whole, which are no classes"
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        return f"{name}: has values from {values.min():g} to {values.max():g}; expected 0 to 65535 (255: no class)"
    return values.astype(np.uint8 if values.max(initial=0) < 256 else np.int32), False


def _coding(
    images: LabelledData, found: Sequence[tuple[Array, bool] | str], data: Data
) -> tuple[Coding, tuple[str, ...]]:
    """Return what the masks' values mean. Raises DataError with all that is wrong of them."""
    wrong = [each for each in found if isinstance(each, str)]
    looks = []
    for row, each in enumerate(found):
        if isinstance(each, str):
            continue
        values, size = np.unique(each[0]), _size(images, row)
        name = f"that of {images.sample_names[row]}"
        looks.append(Look(size, frozenset(values.tolist()) if len(values) <= MOST_VALUES else None, each[1], name))
        if each[0].shape != size:
            height, width = each[0].shape
            wrong.append(
                f"mask of {images.sample_names[row]}: is {height} × {width}, and its image {size[0]} × {size[1]}"
            )
    coding: Coding | None = None
    notices: tuple[str, ...] = ()
    if data.mask_classes is not None:
        coding = said_coding(data.mask_classes, data.mask_ignore, looks)
        present = {value for look in looks for value in look.values or ()}
        unknown = coding.unknown(coding.normal(np.array(sorted(present)), looks[0].colours).tolist()) if looks else []
        wrong += [f"values that are no classes: {listed(unknown, _MOST_VALUES)}"] if unknown else []
    elif not wrong:
        coding, notices = found_coding(looks, data.mask_ignore)
    if wrong or coding is None:
        more = f"\n  and {len(wrong) - _MOST_LISTED} more" if len(wrong) > _MOST_LISTED else ""
        lines = "".join(f"\n  {line}" for line in wrong[:_MOST_LISTED])
        raise DataError(f"the masks can't be used:{lines}{more}\nEvery image needs one mask of its size: docs/masks.md")
    return coding, notices


def _size(images: LabelledData, row: int) -> tuple[int, int]:
    """Return the (height, width) of an image."""
    if isinstance(images.images, ArrayImages):
        return images.images.pixels.shape[1], images.images.pixels.shape[2]
    assert isinstance(images.images, ItemImages)
    picture = read_item(images.images, row, 0, 0)
    if isinstance(picture, Image.Image):
        return picture.height, picture.width
    shape = picture.shape if isinstance(picture, np.ndarray) or picture.ndim == 2 else picture.shape[1:]
    return int(shape[0]), int(shape[1])
