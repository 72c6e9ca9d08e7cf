"""The criteria of masks: over all pixels that have a class.

Logits are (B, K, H, W), or (B, 1, H, W) of the second of two classes; targets (B, H, W), IGNORED where there is none.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from netwright.config.masks import IGNORED
from netwright.config.optimization import (
    BceDice,
    BceWithLogits,
    Criterion,
    CrossEntropy,
    CrossEntropyDice,
    CustomCriterion,
    Dice,
    Focal,
)
from netwright.errors import RecipeError
from netwright.tasks.classification import class_weights
from netwright.tasks.task import BatchLoss, TrainTargets

_LEAST_DOUBT = 1e-12


def build_mask_loss(
    criterion: Criterion,
    train: TrainTargets,
    device: torch.device,
    own: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> BatchLoss:
    """Build the criterion; balanced class weights are by the pixels of train.

    Raises RecipeError when they do not fit."""
    if own is not None:
        return lambda outputs, targets: (own(outputs.float(), targets.long()), len(targets))
    assert train.counts is not None
    weights = class_weights(getattr(criterion, "class_weights", None), train.counts)
    weights = None if weights is None else weights.to(device)
    match criterion:
        case CrossEntropy():
            return lambda outputs, targets: cross_entropy(outputs, targets, weights, criterion.label_smoothing)
        case BceWithLogits():
            return lambda outputs, targets: bce(outputs, targets, weights)
        case Focal():
            return lambda outputs, targets: focal(outputs, targets, criterion.gamma, weights)
        case Dice():
            return lambda outputs, targets: (dice(outputs, targets, criterion.smooth, weights), len(targets))
        case CrossEntropyDice():
            return _sum(lambda outputs, targets: cross_entropy(outputs, targets, weights)[0], criterion, weights)
        case BceDice():
            return _sum(lambda outputs, targets: bce(outputs, targets, weights)[0], criterion, weights)
        case CustomCriterion():
            raise RecipeError(
                "`criterion.name` is 'custom', which only Python can give: nw.train(…, criterion=…), "
                "and nw.load(…, criterion=…) later"
            )
    raise RecipeError(f"`criterion.name` is {criterion.name!r}, which is not for masks; see docs/masks.md")


def cross_entropy(
    outputs: Tensor, targets: Tensor, weights: Tensor | None = None, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the mean over pixels, weighted by their class's weight, and the sum of these weights."""
    targets = targets.long()
    total = functional.cross_entropy(
        outputs.float(), targets, weights, ignore_index=IGNORED, label_smoothing=smoothing, reduction="sum"
    )
    valid = targets != IGNORED
    weight = valid.sum() if weights is None else weights[targets[valid]].sum()
    return total / weight.clamp(min=torch.finfo(torch.float32).tiny), weight


def bce(outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return binary cross-entropy of logits (B, 1, H, W), the mean over pixels, weighted by their class's weight, and
    the sum of these weights. It is the cross-entropy of two logits of which the first is 0."""
    valid = targets != IGNORED
    second = targets == 1
    each = valid.float() if weights is None else valid * weights[second.long()]
    total = functional.binary_cross_entropy_with_logits(outputs[:, 0].float(), second.float(), each, reduction="sum")
    weight = each.sum()
    return total / weight.clamp(min=torch.finfo(torch.float32).tiny), weight


def focal(outputs: Tensor, targets: Tensor, gamma: float, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean over pixels of -w (1 - p)^gamma log p, p the probability of the pixel's class, and their number.

    Pixels that are easy count little. Source: T. Lin et al., "Focal loss for dense object detection" (2017)."""
    valid = targets != IGNORED
    targets = targets.long().masked_fill(~valid, 0)
    scores = log_probabilities(outputs).gather(1, targets.unsqueeze(1))[:, 0]
    doubt = (1 - scores.exp()).clamp(min=_LEAST_DOUBT)  # the slope of 0^gamma is infinite for gamma < 1
    losses = -(doubt**gamma) * scores
    if weights is not None:
        losses = losses * weights[targets]
    number = valid.sum()
    return (losses * valid).sum() / number.clamp(min=1), number


def dice(outputs: Tensor, targets: Tensor, smooth: float, weights: Tensor | None = None) -> Tensor:
    """Return 1 less the mean over classes of (2 Σ p t + smooth) / (Σ p + Σ t + smooth), sums over the whole batch.

    Source: F. Milletari et al., "V-Net" (2016), with probabilities that are not squared."""
    valid = (targets != IGNORED).unsqueeze(1)
    targets = targets.long().unsqueeze(1).masked_fill(~valid, 0)
    probabilities = log_probabilities(outputs).exp() * valid
    ones = torch.zeros_like(probabilities).scatter_(1, targets, valid.to(probabilities.dtype))
    over = (0, 2, 3)
    both = (probabilities * ones).sum(over)
    scores = (2 * both + smooth) / (probabilities.sum(over) + ones.sum(over) + smooth)
    return 1 - (scores.mean() if weights is None else (scores * weights).sum() / weights.sum())


def log_probabilities(outputs: Tensor) -> Tensor:
    """Turn logits (B, K, H, W) or (B, 1, H, W) into log-probabilities (B, K, H, W) float32."""
    outputs = outputs.float()
    if outputs.shape[1] == 1:
        return torch.cat([functional.logsigmoid(-outputs), functional.logsigmoid(outputs)], dim=1)
    return functional.log_softmax(outputs, dim=1)


def _sum(
    pixels: Callable[[Tensor, Tensor], Tensor], criterion: CrossEntropyDice | BceDice, weights: Tensor | None
) -> BatchLoss:
    """Return a criterion of pixels plus `dice_weight` times Dice; of several batches the mean over their images."""

    def loss(outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        of_regions = dice(outputs, targets, criterion.smooth, weights)
        return pixels(outputs, targets) + criterion.dice_weight * of_regions, len(targets)

    return loss
