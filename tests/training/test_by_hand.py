"""Steps by hand: the bits that autograd finds, and autograd's way where there is more to a network than a chain."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from netwright.config.models import Linear, Mlp, Model, TabularMlp
from netwright.config.optimization import BceWithLogits, CrossEntropy, Huber, Mse
from netwright.data.batches import Batch
from netwright.models import build_model
from netwright.tasks.classification import build_batch_loss
from netwright.tasks.regression import build_number_loss
from netwright.tasks.task import BatchLoss, TrainTargets
from netwright.training.by_hand import ByHand

CPU = torch.device("cpu")
MODELS: dict[str, Model] = {
    "skips, dropout, linear beside": TabularMlp(hidden_sizes=(6, 6, 5), dropout=0.4),
    "no skips": TabularMlp(hidden_sizes=(6, 3), dropout=0.0, skip=False),
    "no hidden layers": TabularMlp(hidden_sizes=()),
    "linear": Linear(),
    "mlp": Mlp(hidden_sizes=(70, 40)),
    "mlp with dropout": Mlp(hidden_sizes=(7,), dropout=0.3),
}
LOSSES: dict[str, tuple[int, BatchLoss]] = {
    "cross-entropy": (4, build_batch_loss(CrossEntropy(), torch.ones(4), CPU)),
    "label smoothing": (4, build_batch_loss(CrossEntropy(label_smoothing=0.1), torch.ones(4), CPU)),
    "class weights": (4, build_batch_loss(CrossEntropy(class_weights="balanced"), torch.tensor([3, 9, 4, 1]), CPU)),
    "own": (4, build_batch_loss(CrossEntropy(), torch.ones(4), CPU, functional.multi_margin_loss)),
    "one output": (1, build_batch_loss(BceWithLogits(), torch.ones(2), CPU)),
    "squared errors": (1, build_number_loss(Mse(), TrainTargets(mean=0.4, std=1.7), CPU)),
    "huber": (1, build_number_loss(Huber(), TrainTargets(mean=0.4, std=1.7), CPU)),
}


def network_of(model: Model, num_outputs: int, shape: tuple[int, int, int] = (9, 1, 1), **sizes: Any) -> nn.Module:
    torch.manual_seed(0)
    size = {"in_channels": shape[0], "image_size": shape[1:], "output": "logits", "categories": (), **sizes}
    return build_model(model, num_outputs=num_outputs, **size).train()


def batch_of(loss: str, shape: tuple[int, ...] = (9, 1, 1), size: int = 33) -> Batch:
    made = torch.Generator().manual_seed(1)
    targets: Tensor = torch.randint(0, 2 if loss == "one output" else 4, (size,), generator=made)
    if loss in ("squared errors", "huber"):
        targets = torch.randn(size, generator=made)
    return Batch(torch.randn(size, *shape, generator=made), targets, torch.arange(size))


def check_equal(network: nn.Module, batch_loss: BatchLoss, batch: Batch) -> None:
    """Compare three steps of SGD by hand with as many by autograd, layer by layer, bit for bit."""
    other = copy.deepcopy(network)
    for module in other.modules():  # with a hook the network runs layer by layer
        module.register_forward_hook(lambda *_: None)
    by_hand = ByHand(network, batch_loss)
    by_hand.enter_epoch()
    for step in range(3):
        torch.manual_seed(step)
        computed = by_hand.compute(batch)
        torch.manual_seed(step)
        outputs = other(batch.images)
        loss, weight = batch_loss(outputs, batch.targets)
        loss.backward()
        assert computed is not None
        assert torch.equal(computed.outputs, outputs)
        assert torch.equal(computed.loss, loss)
        assert computed.weight == weight
        assert by_hand.whole_gradient is not None
        sums = 0.0
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            assert mine.grad is not None
            assert theirs.grad is not None
            assert torch.equal(mine.grad, theirs.grad)
            sums += float(mine.grad.double().square().sum())
            for parameter in (mine, theirs):
                assert parameter.grad is not None
                parameter.data -= 0.1 * parameter.grad
                parameter.grad = None
        assert float(by_hand.whole_gradient.double().square().sum()) == pytest.approx(sums)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", MODELS)
def test_a_step_has_the_bits_of_autograd(name: str, loss: str) -> None:
    num_outputs, batch_loss = LOSSES[loss]
    check_equal(network_of(MODELS[name], num_outputs), batch_loss, batch_of(loss))


def test_images_are_flattened_and_categories_made_ones() -> None:
    shape = (1, 28, 28)
    check_equal(network_of(Mlp(hidden_sizes=(200,)), 4, shape), LOSSES["cross-entropy"][1], batch_of("", shape, 64))
    network = network_of(Mlp(hidden_sizes=(5,)), 4, (3, 1, 1), categories=(4,))
    batch = batch_of("", (3, 1, 1))
    batch.images[:, 2] = torch.arange(33).remainder(4).view(-1, 1, 1)
    check_equal(network, LOSSES["cross-entropy"][1], batch)


@pytest.mark.parametrize(
    "change", ["frozen", "hook", "hook on a weight", "half", "embedding", "norm", "output", "probability", "another"]
)
def test_what_is_more_than_a_chain_is_left_to_autograd(change: str) -> None:
    network, criterion = network_of(Mlp(hidden_sizes=(5,)), 4), LOSSES["cross-entropy"][1]
    head = network.get_submodule("head")
    if change == "frozen":
        next(network.parameters()).requires_grad_(False)
    elif change == "hook":
        head.register_full_backward_hook(lambda *_: None)
    elif change == "hook on a weight":
        next(head.parameters()).register_hook(lambda gradient: gradient)
    elif change == "half":
        network.bfloat16()
    elif change == "embedding":
        network = network_of(TabularMlp(hidden_sizes=(5,)), 4, categories=(4,))
    elif change == "norm":
        network = network_of(Mlp(hidden_sizes=(5,), batch_norm=True), 4)
    elif change == "output":
        network = network_of(Mlp(hidden_sizes=(5,)), 4, output="log_probabilities")
    elif change == "probability":
        network = network_of(Mlp(hidden_sizes=(5,)), 1, output="probabilities")
    else:
        network = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))
    by_hand = ByHand(network, criterion)
    by_hand.enter_epoch()
    assert by_hand.compute(batch_of("")) is None
    assert by_hand.whole_gradient is None


def test_what_changes_between_epochs_is_seen() -> None:
    network = network_of(Mlp(hidden_sizes=(5,)), 4)
    by_hand = ByHand(network, LOSSES["cross-entropy"][1])
    by_hand.enter_epoch()
    assert by_hand.compute(batch_of("")) is not None
    for parameter in network.get_submodule("hidden").parameters():
        parameter.requires_grad_(False)
    by_hand.enter_epoch()
    assert by_hand.compute(batch_of("")) is None
