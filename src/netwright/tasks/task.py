"""The seam between tasks: all that the loop, the bundle and the command line know of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from netwright.config.models import Output
from netwright.config.tasks import TaskName


class Task(Protocol):
    """What the targets are and how a network's outputs are read. Immutable; a bundle keeps it whole."""

    @property
    def name(self) -> TaskName:
        """The task's name, by which other rooms find what they have for it."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The words for the classes, in the order of the targets; empty where there are none."""

    @property
    def num_outputs(self) -> int:
        """How many numbers the network gives for each sample (for each pixel of a mask)."""

    @property
    def output(self) -> Output:
        """What these numbers are, which the network's last layer has to make so."""

    @property
    def recorded(self) -> tuple[str, ...]:
        """The names of the numbers that `numbers` gives."""

    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return sums (M,) over a batch that an epoch adds up: right answers, squared errors, … On the device."""

    def numbers(self, counts: Sequence[float], num_samples: int) -> dict[str, float]:
        """Return the numbers of the history that sums of `count` over so many samples make, such as `accuracy`."""

    def keep(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is kept of a batch until its split is judged: answers (B, …) and what they are compared with,
        (B, …). Small enough that a whole split of them lies in memory."""

    def answers(self, outputs: Tensor) -> Tensor:
        """Return what outputs (B, …) of any precision say: what a prediction is made of, float32."""

    def to_mapping(self) -> dict[str, Any]:
        """Return what bundle.json holds of it, `output`, `num_outputs` and `class_names` among it."""


class BatchLoss(Protocol):
    """A criterion that also says how much its mean weighs, so that means over batches add up exactly."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int]:
        """Return the mean loss () of a batch and its weight: the number of samples, or their class weights' sum."""


ONE = torch.ones(())  # what backward begins with
MEAN = 1  # torch's number for the mean among its reductions


@runtime_checkable
class LossWithGradient(BatchLoss, Protocol):
    """A criterion that gives its gradient without autograd."""

    def with_gradient(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int, Tensor]:
        """Return what calling it gives, and the gradient by outputs (B, …) float32, with the bits of autograd."""


def gradient_by_autograd(loss: BatchLoss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int, Tensor]:
    """Return what a criterion gives, and its gradient by outputs (B, …)."""
    outputs = outputs.detach().requires_grad_()
    with torch.enable_grad():
        value, weight = loss(outputs, targets)
    (gradient,) = torch.autograd.grad(value, outputs)
    return value.detach(), weight, gradient


@dataclass(frozen=True, eq=False)
class TrainTargets:
    """What a task and its criterion are told of train's targets: classes and how many of each (K,), or mean and
    standard deviation of numbers."""

    class_names: tuple[str, ...] = ()
    counts: Tensor | None = None
    mean: float = 0.0
    std: float = 1.0

    def to_mapping(self) -> Mapping[str, float]:
        """Return the numbers' mean and standard deviation, for data.json."""
        return {"mean": self.mean, "std": self.std}
