"""One pass over a split: what the network says of every sample, and the exact mean loss."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from netwright.data.batches import Batch
from netwright.runtime.machine import Machine
from netwright.tasks.task import BatchLoss, Task


@dataclass(frozen=True)
class Outputs:
    """What is kept of N samples (`Task.keep`), all on the CPU: answers (log-probabilities (N, K), numbers (N,), …),
    the targets that they are compared with, rows (N,) int64; the task's numbers (accuracy, …) and the mean loss."""

    answers: Tensor
    targets: Tensor
    rows: Tensor
    numbers: dict[str, float]
    loss: float


def run_network(
    network: Callable[[Tensor], Tensor], batches: Iterable[Batch], task: Task, batch_loss: BatchLoss, machine: Machine
) -> Outputs:
    """Run the network, already in eval mode, over batches; sums are over samples, so a smaller batch counts less."""
    kept, rows = [], []
    loss_sum: Tensor | float = 0.0
    weight_sum: Tensor | float = 0.0
    counts: Tensor | None = None
    with torch.inference_mode():
        for batch in batches:
            with machine.autocast():
                outputs = network(machine.arrange(batch.images))
            loss, weight = batch_loss(outputs, batch.targets)
            loss_sum = loss_sum + loss.double() * weight if machine.device.type != "mps" else loss_sum + loss * weight
            weight_sum = weight_sum + weight
            counted = task.count(outputs, batch.targets)
            counts = counted if counts is None else counts + counted
            kept.append(task.keep(outputs, batch.targets))
            rows.append(batch.rows)
        answers, targets = (torch.cat(column).cpu() for column in zip(*kept, strict=True))
        assert counts is not None
        numbers = task.numbers(counts.tolist(), len(targets))
    return Outputs(answers, targets, torch.cat(rows).cpu(), numbers, float(loss_sum / weight_sum))
