"""The tasks by name: how each is built from a recipe, read from a bundle, and given its criterion."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from netwright.config.optimization import Criterion
from netwright.tasks.classification import build_class_loss, build_classification, read_classification
from netwright.tasks.mask_losses import build_mask_loss
from netwright.tasks.regression import build_number_loss, build_regression, read_regression
from netwright.tasks.segmentation import build_segmentation, read_segmentation
from netwright.tasks.task import BatchLoss, Task, TrainTargets

Own = Callable[[Tensor, Tensor], Tensor] | None


class TaskKind(NamedTuple):
    """What makes a task: from a criterion and train's targets, from bundle.json, and its criterion as a function."""

    build: Callable[[Criterion, TrainTargets], Task]
    read: Callable[[Mapping[str, Any]], Task]
    batch_loss: Callable[[Criterion, TrainTargets, torch.device, Own], BatchLoss]


TASKS: dict[str, TaskKind] = {
    "classification": TaskKind(build_classification, read_classification, build_class_loss),
    "regression": TaskKind(build_regression, read_regression, build_number_loss),
    "segmentation": TaskKind(build_segmentation, read_segmentation, build_mask_loss),
}
