"""Labelled data given as Python objects: arrays, tensors, lists, map-style data sets, or a dict of them by split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from netwright.data.arrays import ValueRange, assemble_arrays, check_pixels, check_targets, name_classes
from netwright.data.items import kind_of_items
from netwright.data.labelled import SPLITS, Array, ItemImages, LabelledData
from netwright.data.named import join_items
from netwright.errors import DataError, did_you_mean, listed

_EXPECTED = "(images, targets), a map-style torch Dataset, or a dict of them with train, and val or test"


class Pairs:
    """A list of pictures and their targets as a map-style data set."""

    def __init__(self, images: Sequence[Any], targets: Array) -> None:
        self.images, self.targets = images, targets

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.images[index], int(self.targets[index])


def open_given(
    given: object, value_range: ValueRange | None, name: str = "data", *, training: bool = True
) -> LabelledData:
    """Make labelled data of what the caller gave; see `_EXPECTED`.

    Raises DataError for other types, and as the checks of arrays do."""
    parts = by_split(given, training)
    if all(is_dataset(part) for part in parts.values()):
        return _from_datasets(name, parts)
    if any(is_dataset(part) for part in parts.values()):
        raise DataError("some splits are data sets and some are arrays; give the same kind for all")
    pairs = {split: as_pair(part, split) for split, part in parts.items()}
    if any(_is_pictures(images) for images, _ in pairs.values()):
        return _from_pictures(name, pairs)
    pixels = {
        split: check_pixels(as_pixels(images, _said(split)), _said(split), value_range)
        for split, (images, _) in pairs.items()
    }
    labels = {
        split: check_targets(_as_labels(pairs[split][1]), len(part), f"{split} targets")
        for split, part in pixels.items()
    }
    class_names, targets = name_classes(labels, None, name)
    return assemble_arrays(name, {split: (pixels[split], targets[split]) for split in parts}, class_names, value_range)


def _said(split: str) -> str:
    return "the array of images" if split == "all" else f"{split} images"


def by_split(given: object, training: bool) -> dict[str, Any]:
    """Return split -> what was given of it; all is one split where there are no keys. Raises DataError."""
    if not isinstance(given, Mapping):
        return {"all": given}
    for key in given:
        if key not in SPLITS:
            raise DataError(f"the data have the key {key!r}{did_you_mean(str(key), SPLITS)}; expected {listed(SPLITS)}")
    if "train" not in given and (training or not given):
        raise DataError(f"the data have {listed(given) or 'no splits'} and no train; expected {_EXPECTED}")
    return {split: given[split] for split in SPLITS if given.get(split) is not None}


def is_dataset(part: object) -> bool:
    """Say whether it is a map-style data set. Raises DataError for one that has no order or length."""
    if isinstance(part, (torch.utils.data.IterableDataset, torch.utils.data.DataLoader)):
        kind = type(part).__name__
        raise DataError(f"{kind} has no order and no length that we can rely on; give its map-style Dataset instead")
    array_like = isinstance(part, (tuple, list, str, bytes, Tensor, np.ndarray))
    return not array_like and hasattr(part, "__getitem__") and hasattr(part, "__len__")


def as_pair(part: object, split: str) -> tuple[Any, Any]:
    """Return images and targets. Raises DataError for anything else."""
    if not isinstance(part, (tuple, list)) or len(part) != 2:
        raise DataError(f"{split} is {type(part).__name__}; expected {_EXPECTED}")
    return part[0], part[1]


def _is_pictures(images: object) -> bool:
    """Say whether images are a list of single pictures that need decoding or have sizes of their own."""
    if not isinstance(images, (list, tuple)) or not images:
        return False
    shapes = {getattr(image, "shape", None) for image in images}
    return any(isinstance(image, Image.Image) for image in images) or (None not in shapes and len(shapes) > 1)


def as_pixels(images: object, where: str) -> Array:
    """Return images as NumPy (N, H, W) or (N, H, W, C); torch tensors are (N, H, W) or (N, C, H, W).

    Raises DataError for what is no array, and for a torch tensor whose channels come last."""
    if isinstance(images, (list, tuple)) and images and all(isinstance(image, Tensor) for image in images):
        images = torch.stack(list(images))
    if isinstance(images, Tensor):
        if images.ndim == 4 and images.shape[1] not in (1, 3):
            hint = "; torch images are (N, C, H, W): use .permute(0, 3, 1, 2)" if images.shape[3] in (1, 3) else ""
            raise DataError(f"{where} is a tensor of shape {tuple(images.shape)}; expected 1 or 3 channels{hint}")
        images = images.detach().cpu()
        images = images.float() if images.dtype == torch.bfloat16 else images
        images = images.permute(0, 2, 3, 1).contiguous() if images.ndim == 4 else images
        return np.asarray(images.numpy())
    try:
        return np.asarray(images)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where} can't become an array ({error}); expected images of equal size") from None


def _as_labels(labels: object) -> Array:
    if isinstance(labels, Tensor):
        return np.asarray(labels.detach().cpu().numpy())
    if isinstance(labels, (list, tuple)):
        labels = [label.item() if isinstance(label, Tensor) else label for label in labels]
    return np.asarray(labels)


def _from_pictures(name: str, pairs: Mapping[str, tuple[Any, Any]]) -> LabelledData:
    labels = {
        split: check_targets(_as_labels(label), len(images), f"{split} targets")
        for split, (images, label) in pairs.items()
    }
    class_names, targets = name_classes(labels, None, name)
    return join_items(name, {split: Pairs(images, targets[split]) for split, (images, _) in pairs.items()}, class_names)


def _from_datasets(name: str, parts: Mapping[str, Any]) -> LabelledData:
    for split, dataset in parts.items():
        if len(dataset) == 0:
            raise DataError(f"the {split} data set is empty; expected at least one item")
    labelled = join_items(name, dict(parts), _declared_classes(parts), trusted=False)
    assert isinstance(labelled.images, ItemImages)
    kind = kind_of_items(labelled.images, [int(rows[0]) for rows in labelled.given.values()])
    images = ItemImages(labelled.images.datasets, labelled.images.places, kind)
    return LabelledData(name, labelled.class_names, images, labelled.targets, labelled.sample_names, labelled.given)


def _declared_classes(parts: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the class names that data sets have as `classes`. Raises DataError when the splits' differ.

    An ImageFolder numbers the classes that it finds: with one class less, all after it have other numbers."""
    kept = {split: getattr(dataset, "classes", None) for split, dataset in parts.items()}
    declared = {split: tuple(map(str, names)) for split, names in kept.items() if isinstance(names, (list, tuple))}
    if len(set(declared.values())) > 1:
        first = next(iter(declared))
        other = next(split for split in declared if declared[split] != declared[first])
        raise DataError(
            f"the classes of {first} are {listed(declared[first])} and those of {other} {listed(declared[other])}; "
            "make them equal, in the same order"
        )
    return declared.get("train", next(iter(declared.values()), None))
