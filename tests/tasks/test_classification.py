"""The criteria's worked values, and how outputs become answers."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from netwright.config.optimization import Bce, BceWithLogits, CrossEntropy, CustomCriterion, Nll
from netwright.errors import RecipeError
from netwright.tasks.classification import build_batch_loss, build_task, sample_losses

CPU = torch.device("cpu")
COUNTS = torch.tensor([10, 20, 30])


@pytest.mark.parametrize(
    ("logits", "target", "loss"),
    [((3.2, 5.1, -1.7), 0, 2.0404), ((10.2, 5.1, -1.7), 0, 0.0061), ((-1.2, 0.12, 4.8), 2, 0.0117)],
)
def test_cross_entropy_worked_values(logits, target, loss):
    value, weight = build_batch_loss(CrossEntropy(), COUNTS, CPU)(torch.tensor([logits]), torch.tensor([target]))
    assert value.item() == pytest.approx(loss, abs=5e-5)
    assert weight == 1


@pytest.mark.parametrize("class_weights", [None, "balanced", (1.0, 2.0, 0.5)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_batches_of_any_size_add_up_to_the_whole(class_weights, smoothing):
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(50, 3, generator=generator), torch.randint(3, (50,), generator=generator)
    loss = build_batch_loss(CrossEntropy(class_weights=class_weights, label_smoothing=smoothing), COUNTS, CPU)
    parts = [loss(logits[a:b], targets[a:b]) for a, b in ((0, 7), (7, 30), (30, 50))]
    labels = np.repeat([0, 1, 2], COUNTS)
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    given = {"balanced": balanced, None: [1, 1, 1]}.get(class_weights, class_weights)
    weights = torch.tensor(given, dtype=torch.float32)
    whole = nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing)(logits, targets)
    ours = sum(value * weight for value, weight in parts) / sum(weight for _, weight in parts)
    assert ours.item() == pytest.approx(whole.item(), rel=1e-5)


@pytest.mark.parametrize("class_weights", [None, (1.0, 2.0, 0.5)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_shares_of_classes_are_a_mean_of_the_classes_losses(class_weights, smoothing):
    """A target of 0.7 a and 0.3 b counts like 0.7 samples of a and 0.3 of b, each with its class's weight."""
    logits, (a, b) = torch.randn(9, 3), (torch.randint(3, (9,)), torch.randint(3, (9,)))
    shares = torch.rand(9, 1)
    targets = shares * nn.functional.one_hot(a, 3) + (1 - shares) * nn.functional.one_hot(b, 3)
    loss = build_batch_loss(CrossEntropy(class_weights=class_weights, label_smoothing=smoothing), COUNTS, CPU)
    weights = torch.tensor(class_weights or (1.0, 1.0, 1.0))
    each = nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing, reduction="none")
    counts = torch.cat([shares[:, 0], 1 - shares[:, 0]])
    total = (counts * torch.cat([each(logits, a), each(logits, b)])).sum()
    weight = (counts * torch.cat([weights[a], weights[b]])).sum()
    ours, our_weight = loss(logits, targets)
    assert ours.item() == pytest.approx((total / weight).item(), rel=1e-5)
    assert float(our_weight) == pytest.approx(weight.item(), rel=1e-6)
    whole = nn.functional.one_hot(a, 3).float()
    assert loss(logits, whole)[0].item() == pytest.approx(loss(logits, a)[0].item(), rel=1e-5)


def test_the_right_answer_of_mixed_targets_is_the_largest_share():
    task = build_task(CrossEntropy(), ("a", "b", "c"))
    outputs = torch.tensor([[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]])
    targets = torch.tensor([[0.6, 0.4, 0], [0.7, 0.3, 0], [0, 0, 1.0]])
    assert int(task.num_correct(outputs, targets)) == 2


def test_nll_of_log_probabilities_is_cross_entropy_of_logits():
    logits, targets = torch.randn(8, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    nll = build_batch_loss(Nll(), COUNTS, CPU)(logits.log_softmax(1), targets)[0]
    assert nll.item() == pytest.approx(nn.functional.cross_entropy(logits, targets).item(), rel=1e-6)


def test_the_two_binary_criteria_agree_with_torch_and_with_each_other():
    logits, targets = torch.randn(8, 1), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    counts = torch.tensor([4, 4])
    with_logits = build_batch_loss(BceWithLogits(), counts, CPU)(logits, targets)[0]
    plain = build_batch_loss(Bce(), counts, CPU)(logits.sigmoid(), targets)[0]
    reference = nn.BCEWithLogitsLoss()(logits[:, 0], targets.float())
    assert with_logits.item() == pytest.approx(reference.item(), rel=1e-6)
    assert plain.item() == pytest.approx(reference.item(), rel=1e-5)


@pytest.mark.parametrize("given", ["balanced", (0.5, 3.0)])
def test_the_binary_criteria_weigh_classes_as_torchs_cross_entropy_does(given):
    logits, targets = torch.randn(9, 1), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 0])
    counts = torch.tensor([30, 10])
    weights = torch.tensor([40 / 60, 40 / 20] if given == "balanced" else given)
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    expected = nn.functional.cross_entropy(two, targets, weights)
    for criterion, outputs in ((BceWithLogits, logits), (Bce, logits.sigmoid())):
        made = criterion(class_weights=given)
        loss, weight = build_batch_loss(made, counts, CPU)(outputs, targets)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(weight, weights[targets].sum())
        losses, each = sample_losses(made, two.log_softmax(1), targets, counts)
        assert float(losses.sum() / each.sum()) == pytest.approx(float(expected), rel=1e-6)
    ratio = nn.functional.binary_cross_entropy_with_logits(
        logits[:, 0], targets.float(), pos_weight=weights[1] / weights[0], reduction="sum"
    )
    torch.testing.assert_close(weights[0] * ratio / weights[targets].sum(), expected)


@pytest.mark.parametrize("criterion", [CrossEntropy(), Nll(), Bce(), BceWithLogits()], ids=lambda c: c.name)
def test_outputs_become_the_same_answers(criterion):
    task = build_task(criterion, ("no", "yes"))
    logits = torch.randn(20, task.num_outputs)
    two = torch.cat([torch.zeros(20, 1), logits], 1) if task.num_outputs == 1 else logits
    outputs = {"logits": logits, "log_probabilities": logits.log_softmax(1), "probabilities": logits.sigmoid()}[
        task.output
    ]
    answers = task.log_probabilities(outputs)
    assert torch.allclose(answers, two.log_softmax(1), atol=1e-5)
    targets = torch.randint(2, (20,))
    assert task.num_correct(outputs, targets) == (two.argmax(1) == targets).sum()


def test_what_does_not_fit_is_refused():
    with pytest.raises(RecipeError, match="two classes, and the data have 3"):
        build_task(BceWithLogits(), ("a", "b", "c"))
    with pytest.raises(RecipeError, match="has 2 numbers and the data 3 classes"):
        build_batch_loss(CrossEntropy(class_weights=(1.0, 2.0)), COUNTS, CPU)
    with pytest.raises(RecipeError, match="only Python can give"):
        build_batch_loss(CustomCriterion(), COUNTS, CPU)
