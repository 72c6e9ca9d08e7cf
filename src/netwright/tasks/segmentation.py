"""Segmentation: one class for each pixel of an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from netwright.config.masks import IGNORED
from netwright.config.optimization import Criterion
from netwright.config.recipe import num_outputs_for
from netwright.tasks.mask_losses import log_probabilities
from netwright.tasks.task import TrainTargets


@dataclass(frozen=True)
class Segmentation:
    """How logits (B, num_outputs, H, W) are read; one output means that of the second of two classes.

    Of an image nothing is kept but its confusion counts (K, K), targets by predictions: they give every metric, and a
    split of them lies in memory whatever the size of the images."""

    class_names: tuple[str, ...]
    num_outputs: int

    name: Literal["segmentation"] = "segmentation"
    output: Literal["logits"] = "logits"
    recorded: tuple[str, ...] = ("mean_dice", "accuracy", "mean_iou")

    def classes(self, outputs: Tensor) -> Tensor:
        """Return the likeliest class of each pixel: (B, num_outputs, H, W) -> (B, H, W) int64."""
        return (outputs[:, 0] > 0).long() if self.num_outputs == 1 else outputs.argmax(dim=1)

    def answers(self, outputs: Tensor) -> Tensor:
        """Turn logits (B, num_outputs, H, W) of any precision into log-probabilities (B, K, H, W) float32."""
        return log_probabilities(outputs)

    def confusions(self, classes: Tensor, targets: Tensor) -> Tensor:
        """Count pixels by target and prediction: classes (B, H, W), masks (B, H, W) -> (B, K, K) int64."""
        num_images, num_classes = len(targets), len(self.class_names)
        targets = targets.long()
        images = torch.arange(num_images, device=targets.device).view(-1, 1, 1)
        cells = (images * num_classes + targets) * num_classes + classes
        counts = torch.bincount(cells[targets != IGNORED], minlength=num_images * num_classes**2)
        return counts.view(num_images, num_classes, num_classes)

    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the confusion counts of a batch, (K · K,) int64."""
        return self.confusions(self.classes(outputs), targets).sum(dim=0).flatten()

    def numbers(self, counts: Sequence[float], num_samples: int) -> dict[str, float]:
        """Return the share of right pixels, and IoU and Dice, their means over the classes that there are."""
        confusion = torch.tensor(counts, dtype=torch.float64).view(len(self.class_names), -1)
        right, of_class, taken_for = confusion.diagonal(), confusion.sum(dim=1), confusion.sum(dim=0)
        there = of_class + taken_for > 0
        both = (of_class + taken_for)[there]
        values = {
            "mean_dice": (2 * right[there] / both).mean(),
            "accuracy": right.sum() / confusion.sum().clamp(min=1),
            "mean_iou": (right[there] / (both - right[there])).mean(),
        }
        return {name: float(value.nan_to_num()) for name, value in values.items()}

    def keep(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the confusion counts (B, K, K) of a batch's images, and how many pixels of each have a class, (B,)."""
        counts = self.confusions(self.classes(outputs), targets)
        return counts, counts.sum(dim=(1, 2))

    def to_mapping(self) -> dict[str, Any]:
        return {"output": self.output, "num_outputs": self.num_outputs, "class_names": list(self.class_names)}


def build_segmentation(criterion: Criterion, targets: TrainTargets) -> Segmentation:
    """Return the task of a criterion and the masks' classes. Raises RecipeError when they do not go together."""
    return Segmentation(
        targets.class_names, num_outputs_for(criterion, len(targets.class_names), "`data.mask_classes`")
    )


def read_segmentation(mapping: Mapping[str, Any]) -> Segmentation:
    """Return the task that a bundle keeps."""
    return Segmentation(tuple(mapping["class_names"]), mapping["num_outputs"])
