"""The seam between tasks: all that the loop, the bundle and the command line know of one."""

from typing import Protocol

from torch import Tensor


class Task(Protocol):
    """How a network's outputs are read."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The words for the classes, in the order of the targets."""

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Turn outputs (B, num_outputs) of any precision into log-probabilities (B, K) float32."""

    def num_correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Count right answers: outputs (B, num_outputs), targets (B,) or shares (B, K) -> () int64."""


class BatchLoss(Protocol):
    """A criterion that also says how much its mean weighs, so that means over batches add up exactly."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int]:
        """Return the mean loss () of a batch and its weight: the number of samples, or their class weights' sum."""
