"""What costs nothing to reach: always the same answer, and the answer of the images that look most alike."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from netwright.data.labelled import Rows
from netwright.data.prepare import PreparedData
from netwright.evaluation.intervals import wilson

NEIGHBOURS = 5
SIDE_PIXELS = 16  # pictures are reduced to this: what matters is that it is cheap and knows nothing
MOST_TRAIN, MOST_JUDGED = 5000, 2000  # 5,000 × 2,000 × 768 numbers: 0.3 s on one core
_TOGETHER = 64  # images: of 256 pixels a side 50 MB as floats
MOST_BYTES = 256 * 2**20  # of decoded pixels that are read for it: of photographs that is about 1,400


def baselines(
    prepared: PreparedData, split: str, train_counts: Tensor, train: PreparedData | None = None
) -> dict[str, Any]:
    """Return `majority` and `nearest_neighbours` on a split, each with accuracy, interval and n.

    `train_counts` (K,) are of train. The neighbours are looked for among the train split of `train`, by default of
    `prepared`; None where there is none, or the pixels are not in the store.

    By pixels, not by the network's own features: neighbours in what a trained network makes of images say what its last
    layer adds, and to have them costs the training."""
    targets = torch.as_tensor(prepared.labelled.targets[prepared.rows[split]])
    majority = _accuracy((targets == int(train_counts.argmax())).numpy())
    majority["label"] = prepared.labelled.class_names[int(train_counts.argmax())]
    return {"majority": majority, "nearest_neighbours": _neighbours(prepared, split, train or prepared)}


def neighbour_rows(train: Rows, bytes_of_one: int) -> Rows:
    """Return the rows of train among which neighbours are looked for: all, or as many as are quickly compared and read.

    `bytes_of_one` is what an image takes decoded."""
    return _sample(train, min(MOST_TRAIN, _readable(bytes_of_one)), seed=0)


def _neighbours(prepared: PreparedData, split: str, known: PreparedData) -> dict[str, Any] | None:
    stores = (prepared.store, known.store)
    if prepared.transform.kind == "rows":  # features of different kinds have no distance; row_baselines has more
        return None
    if any(store.items is not None for store in stores) or "train" not in known.rows or not len(prepared.rows[split]):
        return None
    train = neighbour_rows(known.rows["train"], _bytes_of_one(known))
    judged = _sample(prepared.rows[split], min(MOST_JUDGED, _readable(_bytes_of_one(prepared))), seed=1)
    targets = torch.from_numpy(prepared.labelled.targets[judged])
    with torch.inference_mode():
        answers = nearest_answers(
            _small(known, torch.from_numpy(train)),
            torch.from_numpy(known.labelled.targets[train]),
            _small(prepared, torch.from_numpy(judged)),
            len(prepared.labelled.class_names),
        )
    right = (answers == targets).numpy()
    return {**_accuracy(right), "neighbours": NEIGHBOURS, "side_pixels": SIDE_PIXELS, "num_train": len(train)}


def nearest_answers(train: Tensor, train_targets: Tensor, judged: Tensor, num_classes: int) -> Tensor:
    """Return the class (M,) that most of the 5 nearest of `train` (N, D) have, for each row of `judged` (M, D).

    Nearest by Euclid's distance; of equally many votes the lower class. Source: E. Fix and J. Hodges (1951)."""
    half_squares = (train**2).sum(dim=1) / 2
    answers = []
    for some in torch.split(judged, _TOGETHER):
        half_distances = torch.addmm(half_squares, some, train.T, alpha=-1)  # all of a row's but |judged|² / 2
        nearest = half_distances.topk(min(NEIGHBOURS, len(train)), largest=False).indices
        votes = functional.one_hot(train_targets[nearest], num_classes).sum(dim=1)
        answers.append(votes.argmax(dim=1))
    return torch.cat(answers)


def _bytes_of_one(prepared: PreparedData) -> int:
    """Return how many bytes of decoded pixels are read for an image, in the mean where they differ in size."""
    store = prepared.store
    if store.pictures is not None:
        return int(store.pictures.values.nbytes // max(1, len(store.pictures)))
    return store.pixels[:1].numel() * store.pixels.element_size()


def _readable(bytes_of_one: int) -> int:
    return max(1, MOST_BYTES // max(1, bytes_of_one))


def _sample(rows: Rows, most: int, *, seed: int) -> Rows:
    if len(rows) <= most:
        return np.ascontiguousarray(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _small(prepared: PreparedData, rows: Tensor) -> Tensor:
    """Return the rows' pictures as (n, D) float32 in [0, 1], at most 16 × 16 pixels each."""
    parts = []
    for part in torch.split(rows, _TOGETHER):
        pixels = prepared.store.views(part.to(prepared.store.pixels.device), prepared.transform).cpu()
        stride = max(1, min(pixels.shape[1:3]) // (4 * SIDE_PIXELS))  # enough of a photograph for means of 16 × 16
        images = prepared.transform.unit(pixels[:, ::stride, ::stride]).permute(0, 3, 1, 2)
        size = (min(SIDE_PIXELS, images.shape[2]), min(SIDE_PIXELS, images.shape[3]))
        parts.append(functional.adaptive_avg_pool2d(images, size).flatten(1))
    return torch.cat(parts)


def _accuracy(right: Any) -> dict[str, Any]:
    number, total = int(right.sum()), len(right)
    accuracy = number / total if total else None
    return {"accuracy": accuracy, "accuracy_interval": list(wilson(number, total)), "num_samples": total}
