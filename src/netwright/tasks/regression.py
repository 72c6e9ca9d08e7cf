"""Regression: one number an image or a row.

The network gives the number in standard deviations of train's targets from their mean, whatever the targets' unit: so
the same learning rates and criteria fit prices and probabilities. Targets themselves stay as they are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from netwright.config.models import Output
from netwright.config.optimization import Criterion, Huber, Mae, Mse
from netwright.errors import RecipeError
from netwright.tasks.task import MEAN, ONE, BatchLoss, TrainTargets

_DIGITS = 9  # of the history's numbers: float sums differ in the 16th by how a resumed run grouped them


@dataclass(frozen=True)
class Regression:
    """One number: outputs (B, 1) times `std` plus `mean` are in the targets' unit; targets (B,) float32."""

    mean: float
    std: float
    name: Literal["regression"] = "regression"
    recorded: tuple[str, ...] = ("mae", "rmse")
    class_names: tuple[str, ...] = ()
    num_outputs: int = 1
    output: Output = "logits"  # as they come: nothing is put behind the last layer

    def answers(self, outputs: Tensor) -> Tensor:
        """Turn outputs (B, 1) into numbers (B,) float32 in the targets' unit."""
        return outputs[:, 0].float() * self.std + self.mean

    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Sum absolute and squared errors: outputs (B, 1), targets (B,) -> (2,)."""
        errors = self.answers(outputs) - targets
        errors = errors if errors.device.type == "mps" else errors.double()
        return torch.stack([errors.abs().sum(), errors.square().sum()])

    def numbers(self, counts: Sequence[float], num_samples: int) -> dict[str, float]:
        """Return mean absolute and root mean squared error, in the targets' unit."""
        absolute, squared = counts
        found = {"mae": absolute / num_samples, "rmse": float((squared / num_samples) ** 0.5)}
        return {name: float(f"{value:.{_DIGITS}g}") for name, value in found.items()}

    def keep(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers (B,) and the targets (B,)."""
        return self.answers(outputs), targets

    def to_mapping(self) -> dict[str, Any]:
        """Return what bundle.json holds."""
        return {"output": self.output, "num_outputs": 1, "class_names": [], "mean": self.mean, "std": self.std}


def build_regression(criterion: Criterion, targets: TrainTargets) -> Regression:
    """Return the task of numbers with train's mean and standard deviation."""
    return Regression(targets.mean, targets.std)


def read_regression(mapping: Mapping[str, Any]) -> Regression:
    """Return the task that a bundle keeps."""
    return Regression(float(mapping["mean"]), float(mapping["std"]))


def build_number_loss(
    criterion: Criterion,
    train: TrainTargets,
    device: torch.device,
    own: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> BatchLoss:
    """Build the criterion between outputs (B, 1) and targets (B,), both in standard deviations of train's targets.

    `own` is the user's function, which gets (B,) and (B,). Raises RecipeError for a criterion of another task."""
    if own is None and isinstance(criterion, Mse):
        return _SquaredErrors(train.mean, train.std)
    measure = own or _measure(criterion)
    mean, std = train.mean, train.std

    def batch_loss(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int]:
        return measure(outputs.squeeze(1).float(), (targets - mean) / std), len(targets)

    return batch_loss


@dataclass(frozen=True)
class _SquaredErrors:
    mean: float
    std: float

    def __call__(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int]:
        return functional.mse_loss(outputs.squeeze(1).float(), (targets - self.mean) / self.std), len(targets)

    def with_gradient(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int, Tensor]:
        """See `LossWithGradient`."""
        numbers, wanted = outputs.squeeze(1), (targets - self.mean) / self.std
        loss = torch.ops.aten.mse_loss.default(numbers, wanted)
        gradient = torch.ops.aten.mse_loss_backward.default(ONE, numbers, wanted, MEAN)
        return loss, len(targets), gradient.unsqueeze(1)


def _measure(criterion: Criterion) -> Callable[[Tensor, Tensor], Tensor]:
    if isinstance(criterion, Mae):
        return functional.l1_loss
    if isinstance(criterion, Huber):
        delta = criterion.delta
        return lambda numbers, targets: functional.huber_loss(numbers, targets, delta=delta)
    raise RecipeError(f"`criterion.name` is {criterion.name!r}, which regression can't use; use mse, mae or huber")
