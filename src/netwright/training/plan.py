"""What a training is given: all that does not change while it runs, and who is told of it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from netwright.config.recipe import Recipe
from netwright.data.batches import Batches
from netwright.runs.folder import RunFolder
from netwright.runs.history import Record
from netwright.runtime.machine import Machine
from netwright.tasks.task import BatchLoss, Task
from netwright.training.head_solver import HeadSolver

Metric = Callable[[Tensor, Tensor], float]


class Listener(Protocol):
    """What is told of the training as it happens."""

    def step(self, done: int, total: int, num_samples: int) -> None:
        """`done` of the epoch's `total` batches are done, the last one of `num_samples` images."""

    def epoch(self, record: Record, model: nn.Module) -> None:
        """An epoch ended with this record."""

    def stop_requested(self) -> bool:
        """Say whether someone wants the run to stop now, to be resumed later."""


@dataclass(frozen=True)
class Plan:
    """All that does not change while a run trains."""

    recipe: Recipe
    machine: Machine
    task: Task
    batch_loss: BatchLoss
    train: Batches
    val: Batches | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    folder: RunFolder | None = None
    solver: HeadSolver | None = None

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.train.num_batches / self.recipe.training.accumulation_steps)
