"""Ways to compute a step's loss and gradients other than by autograd, kernel by kernel, with the same numbers."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from netwright.data.batches import Batch


@dataclass(frozen=True, slots=True)
class Computed:
    """What a step made before its update: the loss () and what it weighs, and outputs (B, …), all without gradient."""

    loss: Tensor
    weight: Tensor | int
    outputs: Tensor


class Shortcut(Protocol):
    """Computes the steps that it can."""

    @property
    def whole_gradient(self) -> Tensor | None:
        """All gradients of the last step in one block (N,), where they lie so."""

    def enter_epoch(self) -> None:
        """Look at what may have changed between epochs: modes, what gets a gradient, hooks."""

    def compute(self, batch: Batch) -> Computed | None:
        """Return a batch's loss and outputs, its gradients being in the parameters; None: compute it the plain way."""
