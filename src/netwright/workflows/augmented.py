"""What training will see of some images: several views of each, from the batches that training uses."""

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from netwright.config.recipe import Recipe
from netwright.data.labelled import Array
from netwright.data.prepare import PreparedData
from netwright.errors import DataError
from netwright.report.examples import plot_examples
from netwright.workflows.build import train_batches

NUM_IMAGES, NUM_VIEWS = 8, 7


def plot_augmented(recipe: Recipe, prepared: PreparedData, path: Path) -> None:
    """Write a grid as PNG: a line an image, first as evaluation sees it, then as the first epochs of training do."""
    pictures, labels = augmented_views(recipe, prepared)
    title = f"{prepared.labelled.name}: left as evaluation sees it, then as {NUM_VIEWS} epochs of training do"
    plot_examples(pictures, labels, path, title=title, columns=1 + NUM_VIEWS)


def augmented_views(recipe: Recipe, prepared: PreparedData) -> tuple[list[Array], list[str]]:
    """Return pictures (h, w, C) uint8 and their labels, 1 + 7 for each of up to 8 images of train.

    A view is what `train` draws for this image in that epoch, seed and all; only whom it is mixed with is another,
    since the images shown are a batch of their own. Raises DataError for what is no picture when it is trained on."""
    if prepared.transform.kind != "images" or prepared.store.items is not None:
        raise DataError(
            "augmented views can be drawn of images that netwright decodes and normalises, and these are items of your "
            "own Dataset, or under a transform of your own; look at its items directly"
        )
    rows = chosen_rows(prepared, NUM_IMAGES)
    some = msgspec.structs.replace(recipe.training, batch_size=len(rows), sampling="natural")
    few = dataclasses.replace(prepared, rows={"train": rows})
    batches = train_batches(recipe.replace(training=some), few, torch.device("cpu"))
    labelled, names = prepared.labelled, prepared.labelled.class_names
    plain = few.store.views(torch.from_numpy(rows), few.transform)
    if plain.dtype != torch.uint8:
        plain = few.transform.unit(plain).clamp_(0, 1).mul_(255).round_().to(torch.uint8)
    pictures = [[picture] for picture in plain.numpy()]
    labels = [[labelled.label(row)] for row in rows]
    for epoch in range(1, NUM_VIEWS + 1):
        batch = batches.batch(epoch, 0)
        seen = displayed(batch.images, few)
        for place, row in enumerate(batch.rows.tolist()):
            line = int(np.flatnonzero(rows == row)[0])
            pictures[line].append(seen[place])
            labels[line].append(_shares(batch.targets[place], names) if batch.targets.dim() == 2 else "")
    return [each for line in pictures for each in line], [each for line in labels for each in line]


def chosen_rows(prepared: PreparedData, count: int) -> Array:
    """Return up to `count` rows of train: the first ones of as many classes as there are, in the classes' order."""
    rows = prepared.rows["train"]
    targets = prepared.labelled.strata[rows]
    classes = np.unique(targets)
    if len(classes) > count:
        classes = classes[np.linspace(0, len(classes) - 1, count).round().astype(int)]
    queues = [list(rows[targets == number]) for number in classes]
    quotas = [count // len(queues) + (place < count % len(queues)) for place in range(len(queues))]
    return np.array([row for queue, quota in zip(queues, quotas, strict=True) for row in queue[:quota]], dtype=np.int64)


def displayed(images: Tensor, prepared: PreparedData) -> Array:
    """Return network inputs (B, C, h, w) as pictures (B, h, w, C) uint8: the normalising taken back."""
    channels = images.shape[1]
    mean, std = (
        torch.tensor(values).expand(channels).view(-1, 1, 1)
        for values in (prepared.transform.mean, prepared.transform.std)
    )
    unit = (images * std + mean).clamp_(0, 1)
    return np.asarray(unit.mul_(255).round_().to(torch.uint8).permute(0, 2, 3, 1).numpy())


def _shares(target: Tensor, names: tuple[str, ...]) -> str:
    """[0.7, 0.3, 0] -> "cat 70, dog 30", in percent; a class alone has no number."""
    largest = [(float(share), name) for share, name in zip(target.tolist(), names, strict=True) if share >= 0.005]
    largest.sort(reverse=True)
    return ", ".join(f"{name} {100 * share:.0f}" for share, name in largest) if len(largest) > 1 else largest[0][1]
