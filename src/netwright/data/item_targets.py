"""The targets of map-style data sets: from the list that one keeps, where its items agree with it, else from its items.

A list may say something else than the items: a data set that remaps labels in `__getitem__` keeps the old ones."""

from typing import Any

import numpy as np

from netwright.data.arrays import check_targets
from netwright.data.items import seeded
from netwright.data.labelled import Rows
from netwright.errors import DataError
from netwright.runtime.randomness import seed_of

_LISTS = ("targets", "labels", "_labels", "y", "_samples", "samples")
_COMPARED = 16


def item_targets(dataset: Any, where: str, *, trusted: bool = False) -> Rows:
    """Return all targets (N,) int64; without `trusted`, a list counts only where 16 items spread evenly agree with it.

    Raises DataError when items can't be read or their targets are not class numbers."""
    kept = None if getattr(dataset, "target_transform", None) is not None else _kept_list(dataset, where)
    if kept is not None and (trusted or _items_agree(dataset, kept, where)):
        return kept
    found = [_read_target(dataset, index, where) for index in range(len(dataset))]
    try:
        array = np.asarray(found)
    except ValueError:
        raise DataError(f"{where} has targets of different shapes; expected one class number an item") from None
    numbers = check_targets(array, len(dataset), where)
    if numbers.dtype.kind == "U":
        raise DataError(f"{where} has text as targets; expected class numbers from 0")
    return numbers


def _kept_list(dataset: Any, where: str) -> Rows | None:
    """Return the targets that a data set keeps as an attribute, or None when it has none that are class numbers."""
    for attribute in _LISTS:
        kept = getattr(dataset, attribute, None)
        if kept is None or not hasattr(kept, "__len__"):
            continue
        try:
            if len(kept) != len(dataset):
                continue
            array = np.asarray([item[1] for item in kept] if attribute.endswith("samples") else kept)
            numbers = check_targets(array, len(dataset), where)
        except (DataError, ValueError, TypeError, LookupError, RuntimeError):
            continue
        if numbers.dtype.kind != "U":
            return numbers
    return None


def _items_agree(dataset: Any, kept: Rows, where: str) -> bool:
    spread = np.unique(np.linspace(0, len(dataset) - 1, _COMPARED).round().astype(np.int64))
    return all(np.array_equal(_read_target(dataset, int(index), where), kept[index]) for index in spread)


def _read_target(dataset: Any, index: int, where: str) -> Any:
    with seeded(seed_of(0, "item", 0, index)):
        try:
            item = dataset[index]
        except Exception as error:
            raise DataError(f"item {index} of {where} can't be read ({type(error).__name__}: {error})") from error
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise DataError(f"{where} gives items of type {type(item).__name__}; expected pairs (image, target)")
    try:
        target = np.asarray(item[1].detach().cpu() if hasattr(item[1], "detach") else item[1])
    except ValueError:
        raise DataError(f"item {index} of {where} has a target of no shape; expected one class number") from None
    return target.item() if target.size == 1 else target
