"""All that changes while a run trains, and therefore all that a checkpoint holds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from netwright.runs.history import Record


@dataclass
class Sums:
    """Exact sums over the samples of an epoch so far; kept on the device, read once an epoch."""

    loss: Tensor
    weight: Tensor
    correct: Tensor
    samples: int = 0

    @classmethod
    def zero(cls, device: torch.device) -> "Sums":
        """Return empty sums on a device (fp64, but for MPS, which has none)."""
        dtype = torch.float32 if device.type == "mps" else torch.float64
        return cls(
            torch.zeros((), dtype=dtype, device=device),
            torch.zeros((), dtype=dtype, device=device),
            torch.zeros((), dtype=torch.int64, device=device),
        )

    def add(self, loss: Tensor, weight: Tensor | int, correct: Tensor, samples: int) -> None:
        """Add a batch's mean loss () times its weight, its right answers and its size."""
        self.loss += loss.detach().to(self.loss.dtype) * weight
        self.weight += weight
        self.correct += correct
        self.samples += samples

    @property
    def mean_loss(self) -> float:
        return float(self.loss / self.weight)

    @property
    def accuracy(self) -> float:
        return float(self.correct) / self.samples

    def to_mapping(self) -> dict[str, float]:
        """Return the sums as numbers; JSON keeps every bit of an fp64."""
        return {
            "loss": float(self.loss),
            "weight": float(self.weight),
            "correct": int(self.correct),
            "samples": self.samples,
        }

    def restore(self, mapping: Mapping[str, Any]) -> None:
        """Set the sums to what `to_mapping` gave."""
        self.loss.fill_(mapping["loss"])
        self.weight.fill_(mapping["weight"])
        self.correct.fill_(mapping["correct"])
        self.samples = int(mapping["samples"])


@dataclass
class Progress:
    """Where the run stands: `epoch` (from 1) is under way, `batch` of its batches and `step` updates are done."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    best_epoch: int = 0
    evaluations: list[Record] = field(default_factory=list)
    finished: str = ""

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class TrainingState:
    """The network, its optimizer, where they stand, and the best weights so far."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    sums: Sums
    progress: Progress = field(default_factory=Progress)
    history: list[Record] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def keep_best(self) -> None:
        """Copy the network's present state as the best one."""
        self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.progress.best_epoch = self.progress.epoch

    def best_or_last(self) -> dict[str, Tensor]:
        """Return the best epoch's weights; the present ones when there was no epoch to compare."""
        return self.best or dict(self.model.state_dict())
