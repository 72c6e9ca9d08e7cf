"""Photographs, random resized crop and flip, the input side alone: netwright against ImageFolder and DataLoader.

    python benchmarks/photographs.py FOLDER [--pairs 7] [--workers 2] [--threads 2] [--batch-size 32] [--json]

FOLDER has one folder of photographs a class. Both sides give normalised float32 batches (B, 3, 224, 224) of every
photograph in a random order: RandomResizedCrop(224, antialias) and RandomHorizontalFlip. Theirs reads, decodes and
transforms each photograph in each epoch; their workers stay from epoch to epoch, which is quicker than the default.
Ours decodes in the first epoch, into an empty cache, and cuts from what is kept in the later ones. A pair is one run of
each, alternating in which is first; reported are medians over the pairs, and medians of the pairs' ratios.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from netwright.config.recipe import build_recipe
from netwright.data.augment import build_augmentation
from netwright.data.batches import Batches
from netwright.data.prepare import prepare
from netwright.data.sources import open_data
from netwright.runtime.allocator import keep_large_blocks
from netwright.runtime.machine import available_cores

SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LATER_EPOCHS = 3
Seconds = tuple[float, float]  # of the first epoch, of a later one


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder with one folder of photographs a class")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="of the DataLoader (default: 2)")
    parser.add_argument("--threads", type=int, default=2, help="ours (default: 2)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--json", action="store_true", help="print one object")
    options = parser.parse_args(arguments)
    keep_large_blocks()  # as training does
    torch.set_num_threads(options.threads)
    sides: list[Callable[[], Seconds]] = [
        lambda: theirs(options.folder, options.batch_size, options.workers),
        lambda: ours(options.folder, options.batch_size),
    ]
    pairs = []
    for number in range(options.pairs):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        found = {side: sides[side]() for side in order}
        pairs.append((found[0], found[1]))
        print(f"pair {number + 1} of {options.pairs}: {found}", file=sys.stderr)
    result = summary(pairs, len(ImageFolder(options.folder)))
    result |= {"workers": options.workers, "threads": options.threads, "batch_size": options.batch_size}
    result |= {"torch": torch.__version__, "cores": available_cores()}
    print(json.dumps(result) if options.json else table(result))
    return 0


def theirs(folder: Path, batch_size: int, workers: int) -> Seconds:
    """Time the classic way: photographs from their files in every epoch."""
    steps = [
        transforms.RandomResizedCrop(SIZE, antialias=True),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    start = perf_counter()
    loader = DataLoader(
        ImageFolder(folder, transforms.Compose(steps)),
        batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return _epochs(start, lambda _: (images for images, _ in loader))


def ours(folder: Path, batch_size: int) -> Seconds:
    """Time netwright from an empty cache: opening, hashing and decoding belong to the first epoch."""
    cache = tempfile.mkdtemp()
    os.environ["XDG_CACHE_HOME"] = cache
    augmentation = ["random_resized_crop", "horizontal_flip"]
    recipe = build_recipe(
        {
            "data": {"source": str(folder), "image_size": SIZE, "channels": 3},
            "transform": {"normalize": "weights"},
            "augmentation": augmentation,
        }
    )
    try:
        start = perf_counter()
        labelled = open_data(recipe.data)
        prepared = prepare(labelled, {"train": np.arange(len(labelled))}, recipe)
        augment = build_augmentation(recipe.augmentation, 0, prepared.transform.image_size)
        batches = Batches(
            prepared, "train", batch_size=batch_size, device=torch.device("cpu"), augment=augment, shuffle=True
        )
        return _epochs(start, lambda epoch: (batch.images for batch in batches.epoch(epoch)))
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def _epochs(start: float, epoch: Callable[[int], Iterable[torch.Tensor]]) -> Seconds:
    total = 0
    for images in epoch(1):
        total += len(images)
    first = perf_counter() - start
    later = []
    for number in range(2, 2 + LATER_EPOCHS):
        start = perf_counter()
        assert sum(len(images) for images in epoch(number)) == total
        later.append(perf_counter() - start)
    return first, median(later)


def summary(pairs: list[tuple[Seconds, Seconds]], num_images: int) -> dict[str, Any]:
    """Return medians of milliseconds an image, and of the pairs' ratios, for the first and for later epochs."""
    result: dict[str, Any] = {"num_images": num_images, "pairs": len(pairs)}
    for place, name in enumerate(("first_epoch", "later_epochs")):
        ratios = sorted(one[place] / two[place] for one, two in pairs)
        result[name] = {
            "theirs_ms_an_image": 1000 * median(one[place] for one, _ in pairs) / num_images,
            "ours_ms_an_image": 1000 * median(two[place] for _, two in pairs) / num_images,
            "ratio": median(ratios),
            "ratio_from": ratios[0],
            "ratio_to": ratios[-1],
        }
    return result


def table(result: dict[str, Any]) -> str:
    """Return the result for people."""
    head = (
        f"{result['num_images']} photographs, batches of {result['batch_size']}, {result['cores']} cores, "
        f"torch {result['torch']}, {result['pairs']} pairs"
    )
    lines = [head, f"{'ms an image':14}{'DataLoader':>12}{'netwright':>12}{'ratio':>8}  from – to"]
    for key in ("first_epoch", "later_epochs"):
        row = result[key]
        lines.append(
            f"{key.replace('_', ' '):14}{row['theirs_ms_an_image']:12.2f}{row['ours_ms_an_image']:12.2f}"
            f"{row['ratio']:8.2f}  {row['ratio_from']:.2f} – {row['ratio_to']:.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
