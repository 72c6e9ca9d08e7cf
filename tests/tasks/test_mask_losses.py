"""The criteria of masks against plain formulas, torchvision's focal loss and scikit-learn's F1."""

from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from netwright.config.masks import IGNORED
from netwright.config.optimization import (
    CRITERIA,
    BceDice,
    BceWithLogits,
    Criterion,
    CrossEntropy,
    CrossEntropyDice,
    Dice,
    Focal,
)
from netwright.config.tasks import criteria_for
from netwright.tasks.mask_losses import build_mask_loss, dice
from netwright.tasks.task import TrainTargets

COUNTS = torch.tensor([700, 200, 100])


def loss_of(criterion: Criterion, outputs: Tensor, targets: Tensor, counts: Tensor = COUNTS) -> tuple[Tensor, float]:
    names = tuple("abcdef"[: len(counts)])
    loss, weight = build_mask_loss(criterion, TrainTargets(names, counts), torch.device("cpu"))(outputs, targets)
    return loss, float(weight)


def some(classes: int = 3, outputs: int | None = None) -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    targets = torch.randint(0, classes, (4, 12, 10), dtype=torch.uint8)
    targets[torch.rand(4, 12, 10) < 0.15] = IGNORED
    return torch.randn(4, outputs or classes, 12, 10), targets


def flat(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pixels that have a class: outputs (P, K), targets (P,) int64."""
    valid = targets != IGNORED
    return outputs.movedim(1, -1)[valid], targets[valid].long()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 5.0), "balanced"])
def test_cross_entropy_is_that_of_the_pixels_that_have_a_class(smoothing: float, weights: object) -> None:
    outputs, targets = some()
    criterion = CrossEntropy(label_smoothing=smoothing, class_weights=weights)  # type: ignore[arg-type]
    loss, weight = loss_of(criterion, outputs, targets)
    given = {None: None, "balanced": 1000 / (3 * COUNTS.float())}.get(weights, torch.tensor([1.0, 2.0, 5.0]))  # type: ignore[call-overload]
    pixels, classes = flat(outputs, targets)
    torch.testing.assert_close(loss, functional.cross_entropy(pixels, classes, given, label_smoothing=smoothing))
    assert weight == pytest.approx(float(len(classes) if given is None else given[classes].sum()))


def test_binary_cross_entropy_is_that_of_the_pixels_that_have_a_class() -> None:
    outputs, targets = some(2, 1)
    loss, weight = loss_of(BceWithLogits(), outputs, targets, torch.tensor([5, 5]))
    pixels, classes = flat(outputs, targets)
    torch.testing.assert_close(loss, functional.binary_cross_entropy_with_logits(pixels[:, 0], classes.float()))
    assert weight == len(classes)


@pytest.mark.parametrize("given", [(1.0, 4.0), (3.0, 0.5), "balanced"])
def test_weighted_binary_cross_entropy_is_torchs(given: object) -> None:
    """A weight for each pixel, `pos_weight` and cross-entropy of two logits say the same."""
    outputs, targets = some(2, 1)
    pixels, classes = flat(outputs, targets)
    counts = torch.bincount(classes)
    weights = counts.sum() / (2 * counts.float()) if given == "balanced" else torch.tensor(given)
    criterion = BceWithLogits(class_weights=given)  # type: ignore[arg-type]
    loss, weight = loss_of(criterion, outputs, targets, counts)
    logits, each = pixels[:, 0], weights[classes]
    total = functional.binary_cross_entropy_with_logits(logits, classes.float(), each, reduction="sum")
    torch.testing.assert_close(loss, total / each.sum())
    assert weight == pytest.approx(float(each.sum()))
    by_ratio = functional.binary_cross_entropy_with_logits(
        logits, classes.float(), pos_weight=weights[1] / weights[0], reduction="sum"
    )
    torch.testing.assert_close(loss, weights[0] * by_ratio / each.sum())
    two = torch.stack([torch.zeros_like(logits), logits], dim=1)
    torch.testing.assert_close(loss, functional.cross_entropy(two, classes, weights))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("alpha", [-1, 0.25])
def test_focal_is_torchvisions_for_two_classes(gamma: float, alpha: float) -> None:
    outputs, targets = some(2, 1)
    weights = None if alpha < 0 else (1 - alpha, alpha)
    loss, _ = loss_of(Focal(gamma=gamma, class_weights=weights), outputs, targets, torch.tensor([5, 5]))
    pixels, classes = flat(outputs, targets)
    expected = sigmoid_focal_loss(pixels[:, 0], classes.float(), alpha=alpha, gamma=gamma, reduction="mean")
    torch.testing.assert_close(loss, expected)
    two = torch.cat([torch.zeros_like(outputs), outputs], dim=1)  # the same probabilities as two logits
    torch.testing.assert_close(
        loss_of(Focal(gamma=gamma, class_weights=weights), two, targets, COUNTS[:2])[0], expected
    )


def test_focal_without_gamma_is_cross_entropy_of_several_classes() -> None:
    outputs, targets = some()
    torch.testing.assert_close(
        loss_of(Focal(gamma=0.0), outputs, targets)[0], loss_of(CrossEntropy(), outputs, targets)[0]
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_of_an_answer_that_is_sure_and_right_has_a_finite_gradient(gamma: float) -> None:
    outputs = torch.tensor([40.0, 0.0, 0.0]).view(1, 3, 1, 1).requires_grad_()
    loss, _ = loss_of(Focal(gamma=gamma), outputs, torch.zeros(1, 1, 1, dtype=torch.uint8))
    loss.backward()
    assert outputs.grad is not None
    assert outputs.grad.abs().max() < 1e-6


def test_dice_of_sure_answers_is_scikit_learns_f1() -> None:
    outputs, targets = some()
    answers = outputs.argmax(dim=1)
    sure = functional.one_hot(answers, 3).movedim(-1, 1).float() * 200  # probabilities of 0 and 1
    truth, said = flat(sure, targets)[1], flat(sure, targets)[0].argmax(dim=1)
    scores = f1_score(truth, said, average=None)
    assert float(dice(sure, targets, 1e-9)) == pytest.approx(1 - scores.mean(), abs=1e-6)
    weighted = loss_of(Dice(smooth=1e-9, class_weights=(1.0, 2.0, 5.0)), sure, targets)[0]
    assert float(weighted) == pytest.approx(1 - (scores * [1, 2, 5]).sum() / 8, abs=1e-6)


def test_dice_is_the_plain_formula_of_probabilities() -> None:
    outputs, targets = some()
    pixels, classes = flat(outputs, targets)
    shares, ones = pixels.softmax(1), functional.one_hot(classes, 3)
    expected = 1 - ((2 * (shares * ones).sum(0) + 1) / (shares.sum(0) + ones.sum(0) + 1)).mean()
    torch.testing.assert_close(loss_of(Dice(), outputs, targets)[0], expected)


def test_the_sums_are_the_sums() -> None:
    outputs, targets = some()
    both = loss_of(CrossEntropyDice(dice_weight=0.5, class_weights=(1.0, 2.0, 5.0)), outputs, targets)
    parts = (CrossEntropy(class_weights=(1.0, 2.0, 5.0)), Dice(class_weights=(1.0, 2.0, 5.0)))
    first, second = (loss_of(part, outputs, targets)[0] for part in parts)
    torch.testing.assert_close(both[0], first + 0.5 * second)
    assert both[1] == 4  # images: Dice of several batches has no exact mean
    outputs, targets = some(2, 1)
    two = torch.tensor([3, 4])
    expected = loss_of(BceWithLogits(), outputs, targets, two)[0] + dice(outputs, targets, 1.0)
    torch.testing.assert_close(loss_of(BceDice(), outputs, targets, two)[0], expected)
    weights = (1.0, 4.0)
    parts = (BceWithLogits(class_weights=weights), Dice(class_weights=weights))
    first, second = (loss_of(part, outputs, targets, two)[0] for part in parts)
    torch.testing.assert_close(loss_of(BceDice(class_weights=weights), outputs, targets, two)[0], first + second)


@pytest.mark.parametrize("name", criteria_for("segmentation"))
def test_every_criterion_takes_weights_and_balances_by_the_pixels_of_train(name: str) -> None:
    """220 pixels over 2 classes and 200 or 20 of each, as scikit-learn has it; a batch has other shares."""
    if name == "custom":
        return
    counts = torch.tensor([200, 20])
    outputs, targets = some(2, 1 if "bce" in name else 2)
    made = [
        CRITERIA.convert({"name": name, "class_weights": given}, "criterion") for given in ("balanced", [0.55, 5.5])
    ]
    balanced, given, plain = (
        loss_of(each, outputs, targets, counts)[0]  # type: ignore[arg-type]
        for each in (*made, CRITERIA.convert({"name": name}, "criterion"))
    )
    torch.testing.assert_close(balanced, given)
    assert abs(float(balanced - plain)) > 1e-3


@pytest.mark.parametrize("criterion", [CrossEntropy, CrossEntropyDice, Dice, Focal])
def test_a_class_that_train_lacks_is_not_balanced_against_all_others(criterion: Any) -> None:
    """N / (K · 0) of it would be the whole loss wherever val has a pixel of it, and the whole of Dice's mean."""
    outputs, targets = some()
    found = loss_of(criterion(class_weights="balanced"), outputs, targets, torch.tensor([900, 300, 0]))
    named = loss_of(criterion(class_weights=(1200 / 2700, 1200 / 900, 1.0)), outputs, targets)
    torch.testing.assert_close(found, named)


@pytest.mark.parametrize(
    "criterion", [CrossEntropy(), CrossEntropy(class_weights="balanced"), Focal(), Dice(), CrossEntropyDice()]
)
def test_a_batch_of_ignored_pixels_alone_has_a_finite_loss_and_gradient(criterion: Criterion) -> None:
    outputs = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss, _ = loss_of(criterion, outputs, torch.full((2, 4, 4), IGNORED, dtype=torch.uint8))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


@pytest.mark.parametrize("criterion", [BceWithLogits(), BceWithLogits(class_weights=(1.0, 4.0)), BceDice()])
def test_so_has_one_of_two_classes(criterion: Criterion) -> None:
    outputs = torch.randn(2, 1, 4, 4, requires_grad=True)
    loss, _ = loss_of(criterion, outputs, torch.full((2, 4, 4), IGNORED, dtype=torch.uint8), COUNTS[:2])
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


WEIGHTED = (1.0, 2.0, 5.0)


@pytest.mark.parametrize(
    "criterion",
    [
        *(CrossEntropy(), Focal(), Dice(), CrossEntropyDice()),
        *(CrossEntropy(class_weights=WEIGHTED), Focal(class_weights=WEIGHTED), Dice(class_weights=WEIGHTED)),
        *(BceWithLogits(), BceWithLogits(class_weights=(1.0, 4.0)), BceDice(class_weights=(1.0, 4.0))),
    ],
)
def test_ignored_pixels_have_no_gradient(criterion: Criterion) -> None:
    binary = isinstance(criterion, (BceWithLogits, BceDice))
    outputs, targets = some(2, 1) if binary else some()
    outputs.requires_grad_(True)
    loss_of(criterion, outputs, targets, COUNTS[: 2 if binary else 3])[0].backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    ignored = (targets == IGNORED).unsqueeze(1).expand_as(outputs)
    assert not outputs.grad[ignored].any()
    assert outputs.grad[~ignored].any()
