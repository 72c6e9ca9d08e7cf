"""All that changes while a run trains, and therefore all that a checkpoint holds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from netwright.models.fitting import Fit
from netwright.runs.history import Record

COUNT_VALUES = 2**16  # batches are counted when so many outputs have come together: 256 KiB of them


class Sums:
    """Exact sums over the samples of an epoch so far: the loss, and what the task counts (`Task.count`).

    Batches are noted as they come and added up some at a time: counting right answers takes 15 µs a batch of 64 and
    3 when 100 batches are counted at once, and on a GPU reading a loss makes the host wait. Losses are
    added one after another in fp64 whenever that happens, so the sums do not depend on when."""

    def __init__(self, count: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._count = count
        self.reset()

    def reset(self) -> None:
        """Begin again with nothing."""
        self.samples = 0
        self._loss = self._weight = 0.0
        self._counts_before: list[float] = []  # in the sitting that was resumed
        self._counts: Tensor | None = None
        self._losses: list[tuple[Tensor | float, Tensor | int]] = []
        self._answers: list[tuple[Tensor, Tensor]] = []
        self._num_values = 0

    def add(self, loss: Tensor | float, weight: Tensor | int, outputs: Tensor, targets: Tensor) -> None:
        """Note a batch: its mean loss (), what that weighs, outputs (B, …) and targets (B, …), all without gradient."""
        self._losses.append((loss, weight))
        self._answers.append((outputs, targets))
        self.samples += targets.shape[0]
        self._num_values += outputs.numel()
        if self._num_values >= COUNT_VALUES:
            self._count_answers()

    @property
    def loss(self) -> float:
        """The sum of losses times weights."""
        self._add_losses()
        return self._loss

    @property
    def weight(self) -> float:
        """The sum of the weights."""
        self._add_losses()
        return self._weight

    @property
    def mean_loss(self) -> float:
        return self.loss / self._weight

    @property
    def counts(self) -> list[float]:
        """The sums (M,) of what the task counts; none before the first batch."""
        self._count_answers()
        counts: list[float] = [] if self._counts is None else self._counts.reshape(-1).tolist()
        before = self._counts_before or [0] * len(counts)
        return [sum(pair) for pair in zip(before, counts, strict=True)] if counts else before

    def _add_losses(self) -> None:
        losses, self._losses = self._losses, []
        for loss, weight in zip(*(_numbers(column) for column in zip(*losses, strict=True)), strict=True):
            self._loss += loss * weight
            self._weight += weight

    def _count_answers(self) -> None:
        if not self._answers:
            return
        outputs, targets = (torch.cat(column) for column in zip(*self._answers, strict=True))
        counts = self._count(outputs, targets)
        self._counts = counts if self._counts is None else self._counts + counts
        self._answers, self._num_values = [], 0

    def to_mapping(self) -> dict[str, Any]:
        """Return the sums as numbers; JSON keeps every bit of an fp64."""
        return {"loss": self.loss, "weight": self._weight, "counts": self.counts, "samples": self.samples}

    def restore(self, mapping: Mapping[str, Any]) -> None:
        """Set the sums to what `to_mapping` gave."""
        self.reset()
        self._loss, self._weight = mapping["loss"], mapping["weight"]
        self.samples = int(mapping["samples"])
        self._counts_before = list(mapping["counts"])


def _numbers(values: Sequence[Tensor | float]) -> list[float]:
    """Return numbers for numbers and tensors (), which are read with one transfer."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    read: Iterator[float] = iter(torch.stack(tensors).tolist() if tensors else ())
    return [next(read) if isinstance(value, Tensor) else value for value in values]


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
    skipped: int = 0  # updates of the present epoch that were left out, see training/not_finite.py
    skipped_in_a_row: int = 0

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Unread:
    """A number () on a device that is to be read later, and where it was: batch (from 1), updates done before, lr."""

    what: str
    value: Tensor
    batch: int
    step: int
    lr: float


@dataclass
class TrainingState:
    """The network, its optimizer, where they stand, and the best weights so far."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    sums: Sums
    progress: Progress = field(default_factory=Progress)
    history: list[Record] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)  # empty until there is one, see training/averaging.py
    unread: list[Unread] = field(default_factory=list)  # of this epoch, see training/not_finite.py; never saved
    fit: Fit | None = None  # how weights from elsewhere went into the network, where it began with some

    def judged(self) -> dict[str, Tensor]:
        """Return the weights that validation judges: the average where there is one, else the network's own."""
        return self.average or dict(self.model.state_dict())

    def keep_best(self) -> None:
        """Copy the judged weights as the best ones."""
        self.best = {name: value.detach().clone() for name, value in self.judged().items()}
        self.progress.best_epoch = self.progress.epoch

    def best_or_last(self) -> dict[str, Tensor]:
        """Return the best epoch's weights; the present ones when there was no epoch to compare."""
        return self.best or self.judged()
