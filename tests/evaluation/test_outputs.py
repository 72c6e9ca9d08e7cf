"""One pass over a split: sums over samples, whatever the size of the batches."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from netwright.config.optimization import CRITERIA, Criterion
from netwright.config.sections import Runtime
from netwright.data.batches import Batch
from netwright.evaluation.outputs import run_network
from netwright.runtime.machine import choose_machine
from netwright.tasks.classification import build_batch_loss, build_task

NUM_SAMPLES = 37
MACHINE = choose_machine(Runtime(device="cpu", precision="fp32", threads=1))


@pytest.fixture
def images() -> Tensor:
    return torch.randn(NUM_SAMPLES, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def targets() -> Tensor:
    return torch.randint(0, 3, (NUM_SAMPLES,), generator=torch.Generator().manual_seed(1))


def batches(images: Tensor, targets: Tensor, size: int) -> Iterator[Batch]:
    rows = torch.arange(100, 100 + len(targets))
    for start in range(0, len(targets), size):
        part = slice(start, start + size)
        yield Batch(images[part], targets[part], rows[part])


def network(num_outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, num_outputs)).eval()


def criterion(**mapping: object) -> Criterion:
    made = CRITERIA.convert(mapping, "criterion")
    assert isinstance(made, Criterion)
    return made


@pytest.mark.parametrize("class_weights", [None, [0.2, 3.0, 1.0]])
@pytest.mark.parametrize("size", [1, 5, 8, 36, 37, 100])
def test_the_batch_size_changes_nothing(
    size: int, class_weights: list[float] | None, images: Tensor, targets: Tensor
) -> None:
    """A last, smaller batch counts as much as it has samples, or as their class weights' sum."""
    chosen = criterion(name="cross_entropy", class_weights=class_weights)
    task = build_task(chosen, ("a", "b", "c"))
    batch_loss = build_batch_loss(chosen, torch.bincount(targets), MACHINE.device)
    model = network(3)
    outputs = run_network(model, batches(images, targets, size), task, batch_loss, MACHINE)
    with torch.no_grad():
        logits = model(images)
    weights = None if class_weights is None else torch.tensor(class_weights)
    assert outputs.loss == pytest.approx(nn.functional.cross_entropy(logits, targets, weights).item(), rel=1e-6)
    assert outputs.numbers == {"accuracy": int((logits.argmax(1) == targets).sum()) / NUM_SAMPLES}
    torch.testing.assert_close(outputs.answers, logits.log_softmax(1))
    assert torch.equal(outputs.targets, targets)
    assert torch.equal(outputs.rows, torch.arange(100, 100 + NUM_SAMPLES))


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_one_output_is_two_classes(name: str, images: Tensor, targets: Tensor) -> None:
    two = targets.clamp(max=1)
    chosen = criterion(name=name)
    task = build_task(chosen, ("no", "yes"))
    model = network(1) if name == "bce_with_logits" else nn.Sequential(network(1), nn.Sigmoid())
    batch_loss = build_batch_loss(chosen, torch.bincount(two), MACHINE.device)
    outputs = run_network(model, batches(images, two, 8), task, batch_loss, MACHINE)
    with torch.no_grad():
        logits = network(1)(images)[:, 0]
    expected = nn.functional.binary_cross_entropy_with_logits(logits, two.float()).item()
    assert outputs.loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(outputs.answers.exp()[:, 1], logits.sigmoid())
    assert outputs.numbers["accuracy"] == int(((logits > 0) == two.bool()).sum()) / len(two)


def test_no_gradients_are_kept(images: Tensor, targets: Tensor) -> None:
    chosen = criterion(name="cross_entropy")
    task = build_task(chosen, ("a", "b", "c"))
    batch_loss = build_batch_loss(chosen, torch.bincount(targets), MACHINE.device)
    outputs = run_network(network(3), batches(images, targets, 8), task, batch_loss, MACHINE)
    assert not outputs.answers.requires_grad
