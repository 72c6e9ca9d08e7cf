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
    """Answers for N samples: log-probabilities (N, K) float32, targets and rows (N,) int64, all on the CPU."""

    log_probabilities: Tensor
    targets: Tensor
    rows: Tensor
    num_correct: int
    loss: float

    @property
    def accuracy(self) -> float:
        return self.num_correct / len(self.targets)


def run_network(
    network: Callable[[Tensor], Tensor], batches: Iterable[Batch], task: Task, batch_loss: BatchLoss, machine: Machine
) -> Outputs:
    """Run the network, already in eval mode, over batches; sums are over samples, so a smaller batch counts less."""
    answers, targets, rows = [], [], []
    loss_sum: Tensor | float = 0.0
    weight_sum: Tensor | float = 0.0
    with torch.inference_mode():
        for batch in batches:
            with machine.autocast():
                outputs = network(machine.arrange(batch.images))
            loss, weight = batch_loss(outputs, batch.targets)
            loss_sum = loss_sum + loss.double() * weight if machine.device.type != "mps" else loss_sum + loss * weight
            weight_sum = weight_sum + weight
            answers.append(outputs)
            targets.append(batch.targets)
            rows.append(batch.rows)
        whole, all_targets = torch.cat(answers), torch.cat(targets)
        log_probabilities, correct = task.log_probabilities(whole).cpu(), int(task.num_correct(whole, all_targets))
    return Outputs(log_probabilities, all_targets.cpu(), torch.cat(rows).cpu(), correct, float(loss_sum / weight_sum))
