"""Sums over an epoch: the same whenever they are read, and equal to those of all batches at once."""

import pytest
import torch

from netwright.training import state as state_module
from netwright.training.state import Sums

BATCHES = 12


def num_correct(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs.argmax(dim=1) == targets).sum()


def batches() -> list[tuple[torch.Tensor, int, torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    sizes = [7] * (BATCHES - 1) + [3]
    return [(torch.rand(()), size, torch.randn(size, 5), torch.randint(0, 5, (size,))) for size in sizes]


@pytest.mark.parametrize("count_values", [1, 100, 10**9])
@pytest.mark.parametrize("every", [1, 5, 10**9])  # on a GPU the loss is read in some steps only
def test_the_sums_are_those_of_all_batches(count_values: int, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "COUNT_VALUES", count_values)
    sums = Sums(num_correct)
    for number, (loss, size, outputs, targets) in enumerate(batches(), 1):
        sums.add(loss if number % every else loss.item(), size, outputs, targets)
    whole, answers = (torch.cat(column) for column in list(zip(*batches(), strict=True))[2:])
    assert sums.samples == len(answers) == 7 * (BATCHES - 1) + 3
    assert sums.counts == [int(num_correct(whole, answers))]
    total = sum(loss.double() * size for loss, size, _, _ in batches())
    assert sums.mean_loss == pytest.approx(float(total) / sums.samples, rel=1e-12)


def test_reading_or_restoring_on_the_way_changes_no_bit() -> None:
    plain, read, resumed = Sums(num_correct), Sums(num_correct), Sums(num_correct)
    for place, (loss, size, outputs, targets) in enumerate(batches()):
        plain.add(loss.item(), size, outputs, targets)
        read.add(loss.item(), size, outputs, targets)
        resumed.add(loss.item(), size, outputs, targets)
        if place % 3 == 1:
            assert read.counts[0] <= read.samples
            assert read.mean_loss > 0
            resumed, kept = Sums(num_correct), resumed.to_mapping()
            resumed.restore(kept)
    assert plain.to_mapping() == read.to_mapping() == resumed.to_mapping()


def test_class_weights_may_be_tensors() -> None:
    sums = Sums(num_correct)
    for loss, size, outputs, targets in batches():
        sums.add(loss, torch.tensor(0.5 * size), outputs, targets)
    weights = [0.5 * size for _, size, _, _ in batches()]
    losses = [float(loss) for loss, _, _, _ in batches()]
    assert sums.mean_loss == pytest.approx(sum(a * b for a, b in zip(losses, weights, strict=True)) / sum(weights))
