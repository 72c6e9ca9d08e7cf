"""The linear model that a network for rows begins as, so that training begins where a linear model ends.

Classes: softmax regression with scikit-learn's penalty at C = 1, by `head_solver`. Numbers: ridge regression with a
penalty of 1, over train's targets in standard deviations."""

import torch
from torch import Tensor, nn

from netwright.config.optimization import Bce, BceWithLogits, Criterion, CrossEntropy, Nll
from netwright.tasks.task import TrainTargets
from netwright.training.head_solver import HeadSolver

MOST_ROWS = 50_000  # more of them change a linear model's few numbers next to nothing
MOST_FEATURES = 1000  # more are left to training: what is solved for has their square of numbers


def linear_solution(
    features: Tensor, targets: Tensor, train: TrainTargets, criterion: Criterion, num_outputs: int
) -> tuple[Tensor, Tensor] | None:
    """Return weight (num_outputs, D) and bias (num_outputs,) of the linear model of features (N, D) float32 of train.

    None where the criterion asks for something else, or there are too many features."""
    if features.shape[1] > MOST_FEATURES or not len(features):
        return None
    if len(features) > MOST_ROWS:
        chosen = torch.linspace(0, len(features) - 1, MOST_ROWS, dtype=torch.float64).long()
        features, targets = features[chosen], targets[chosen]
    if not train.class_names:
        return _ridge(features, (targets.double() - train.mean) / train.std)
    if not isinstance(criterion, (CrossEntropy, Nll, Bce, BceWithLogits)):
        return None
    assert train.counts is not None
    smoothing = criterion.label_smoothing if isinstance(criterion, CrossEntropy) else 0.0
    layer = nn.Linear(features.shape[1], len(train.class_names), device=features.device)
    plain = CrossEntropy(class_weights=criterion.class_weights, label_smoothing=smoothing)
    HeadSolver(layer, features, targets, plain, train.counts).solve(1 / len(features))
    weight, bias = layer.weight.detach(), layer.bias.detach()
    if num_outputs == 1:  # the logit of the second of two classes
        return weight[1:] - weight[:1], bias[1:] - bias[:1]
    return weight, bias


def _ridge(features: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the optimum of Σ (error²) + Σ (weight²), the bias free, for numbers (N,) float64."""
    rows = features.double()
    middle = rows.mean(dim=0)
    centred = rows - middle
    matrix = centred.T @ centred + torch.eye(rows.shape[1], dtype=torch.float64, device=rows.device)
    weight = torch.linalg.solve(matrix, centred.T @ (numbers - numbers.mean()))
    bias = numbers.mean() - weight @ middle
    return weight.float()[None], bias.float()[None]
