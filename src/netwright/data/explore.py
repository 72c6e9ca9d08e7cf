"""What labelled data look like: counts, sizes, modes, statistics, warnings, a grid of examples."""

from collections import Counter
from typing import Any

import numpy as np
import torch

from netwright.config.recipe import Recipe
from netwright.data.labelled import Array, LabelledData, RowImages, Rows
from netwright.data.masks.store import count_pixels
from netwright.data.prepare import PreparedData, class_counts, prepare
from netwright.data.scan import scan
from netwright.data.statistics import channel_statistics
from netwright.errors import DataError

IMBALANCE = 3.0
_MOST_SIZES = 20
_ROWS_OF_NUMBERS = 4  # of examples where there are no classes


def explore(data: PreparedData | LabelledData, rows: dict[str, Rows]) -> dict[str, Any]:
    """Describe data, ready for JSON: samples per class and split, image sizes and modes, statistics, warnings.

    `mean` and `std` are exact, per channel, of pixels in [0, 1] over train, before any normalising; null where the
    user's own data set has no fixed pixels. Raises DataError as `prepare` does when the data are not prepared yet."""
    prepared = data if isinstance(data, PreparedData) else prepare(data, rows, Recipe())
    labelled, rows = prepared.labelled, prepared.rows
    found = (
        scan(labelled.images, np.sort(np.concatenate(list(rows.values()))))
        if prepared.transform.kind not in ("ready", "rows")
        else None
    )
    mean, std = _statistics(prepared)
    counts = class_counts(labelled, rows) if prepared.store.masks is None else _pixel_counts(prepared)
    total = {name: sum(counts[split][name] for split in counts) for name in labelled.class_names}
    ratio = _imbalance(counts["train"])
    return {
        "name": labelled.name,
        "num_samples": sum(len(part) for part in rows.values()),
        "counted": "images" if labelled.masks is None else "pixels",
        "num_classes": len(labelled.class_names),
        "class_names": list(labelled.class_names),
        "splits": {split: {"num_samples": len(part), "classes": counts[split]} for split, part in rows.items()},
        "classes": total,
        "sizes": [] if found is None else _sizes(found.sizes),
        "num_sizes": 0 if found is None else len(found.sizes),
        "modes": {} if found is None else dict(found.modes),
        "image_size": list(prepared.transform.image_size),
        "channels": prepared.transform.channels,
        "mean": mean,
        "std": std,
        "imbalance": ratio,
        "warnings": _warnings(counts["train"], ratio) if labelled.masks is None else [],
        **({} if labelled.class_names else {"targets": _numbers_of(labelled, rows)}),
        **({"columns": columns} if (columns := _columns_of(prepared)) else {}),
        "notices": list(labelled.notices),
        "fingerprint": prepared.fingerprint,
    }


def _columns_of(prepared: PreparedData) -> list[dict[str, Any]]:
    """Return of each column of a table that is learnt from its kind, how many are missing, and how train's lie."""
    images, train = prepared.labelled.images, prepared.rows["train"]
    if not isinstance(images, RowImages):
        return []
    found = []
    for name, values in images.values.items():
        of_words = images.kinds[name] == "category"
        missing = (values == "") if of_words else np.isnan(values)
        known = values[train][~missing[train]]
        about: dict[str, Any] = {"name": name, "kind": images.kinds[name], "num_missing": int(missing.sum())}
        about["num_different"] = len(set(known.tolist()))
        if not of_words and len(known):
            about |= {"low": float(known.min()), "median": float(np.median(known)), "high": float(known.max())}
        found.append(about)
    return found


def _pixel_counts(prepared: PreparedData) -> dict[str, dict[str, int]]:
    """Return split -> class name -> number of pixels in masks."""
    names, store = prepared.labelled.class_names, prepared.store
    found = {}
    for split, part in prepared.rows.items():
        counts = count_pixels(store.gather_masks(torch.from_numpy(part)), len(names))
        found[split] = dict(zip(names, counts.tolist(), strict=True))
    return found


def _numbers_of(labelled: LabelledData, rows: dict[str, Rows]) -> dict[str, dict[str, float]]:
    """Return mean, standard deviation, lowest and highest target of each split."""
    parts = {split: labelled.targets[part] for split, part in rows.items()}
    return {
        split: {"mean": float(t.mean()), "std": float(t.std()), "low": float(t.min()), "high": float(t.max())}
        for split, t in parts.items()
    }


def _sizes(sizes: Counter[tuple[int, int]]) -> list[dict[str, int]]:
    return [
        {"height": size[0], "width": size[1], "num_samples": count} for size, count in sizes.most_common(_MOST_SIZES)
    ]


def _statistics(prepared: PreparedData) -> tuple[list[float] | None, list[float] | None]:
    if prepared.store.items is not None or prepared.transform.kind == "rows":
        return None, None
    mean, std = channel_statistics(prepared.store, prepared.rows["train"], prepared.transform)
    return list(mean), list(std)


def _imbalance(counts: dict[str, int]) -> float | None:
    """Return largest : smallest class of train, over the classes that have images."""
    present = [count for count in counts.values() if count]
    return max(present) / min(present) if present else None


def _warnings(counts: dict[str, int], ratio: float | None) -> list[str]:
    if ratio is None or ratio < IMBALANCE:
        return []
    most = max(counts, key=lambda name: counts[name])
    least = min((name for name in counts if counts[name]), key=lambda name: counts[name])
    return [
        f"imbalance: {most!r} has {counts[most]} training images, {least!r} {counts[least]} ({ratio:.1f} : 1); judge "
        "by balanced accuracy or F1, and consider --sampling balanced or --class-weights balanced"
    ]


def example_grid(prepared: PreparedData, per_class: int, split: str = "train") -> tuple[Array, list[str]]:
    """Return the first `per_class` pictures of every class as (N, H, W, C) uint8, before normalising, and their labels.

    Raises DataError for the user's own float tensors, which are no pictures."""
    if prepared.transform.kind == "rows":
        raise DataError("rows of a table are no pictures; leave --grid out")
    if prepared.store.items is not None:
        raise DataError("examples can't be drawn of a Dataset whose items are made anew; look at its items directly")
    targets = prepared.labelled.strata[prepared.rows[split]]
    many = per_class if prepared.labelled.class_names else per_class * _ROWS_OF_NUMBERS
    chosen = [prepared.rows[split][targets == number][:many] for number in np.unique(targets)]
    rows = np.concatenate(chosen)
    pixels = prepared.store.views(torch.from_numpy(rows), prepared.transform)
    if pixels.dtype != torch.uint8:
        pixels = prepared.transform.unit(pixels).clamp_(0, 1).mul_(255).round_().to(torch.uint8)
    labels = [prepared.labelled.label(row) for row in rows]
    return pixels.numpy(), labels
