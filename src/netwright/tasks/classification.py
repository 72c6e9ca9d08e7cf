"""Classification: one class an image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from netwright.config.models import Output
from netwright.config.optimization import Bce, BceWithLogits, ClassWeights, Criterion, CrossEntropy, Nll
from netwright.config.recipe import num_outputs_for, output_for
from netwright.errors import RecipeError
from netwright.tasks.task import MEAN, ONE, BatchLoss, TrainTargets, gradient_by_autograd


@dataclass(frozen=True)
class Classification:
    """What the network's outputs mean: `output` is logits, log_probabilities or probabilities; one output means that
    of the second of two classes."""

    class_names: tuple[str, ...]
    output: Output
    num_outputs: int
    name: Literal["classification"] = "classification"
    recorded: tuple[str, ...] = ("accuracy",)

    def answers(self, outputs: Tensor) -> Tensor:
        """Return log-probabilities (B, K) float32."""
        return self.log_probabilities(outputs)

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Turn outputs (B, num_outputs) of any precision into log-probabilities (B, K) float32."""
        outputs = outputs.float()
        if self.num_outputs == 1:
            logits = torch.logit(outputs) if self.output == "probabilities" else outputs
            return torch.cat([functional.logsigmoid(-logits), functional.logsigmoid(logits)], dim=1)
        if self.output == "probabilities":
            return outputs.log()
        return functional.log_softmax(outputs, dim=1)  # the identity on log-probabilities

    def num_correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Count right answers: outputs (B, num_outputs), targets (B,) or (B, K) -> () int64, on the device.

        Of mixed targets the class with the largest share is the right one, the first of equal ones."""
        if targets.dim() == 2:
            targets = targets.argmax(dim=1)
        if self.num_outputs > 1:
            return (outputs.argmax(dim=1) == targets).sum()
        threshold = 0.5 if self.output == "probabilities" else 0.0
        return ((outputs[:, 0] > threshold) == targets.bool()).sum()

    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the number of right answers, (1,) int64."""
        return self.num_correct(outputs, targets)[None]

    def numbers(self, counts: Sequence[float], num_samples: int) -> dict[str, float]:
        """Return the accuracy."""
        return {"accuracy": counts[0] / num_samples}

    def keep(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities (B, K) and the targets (B,)."""
        return self.log_probabilities(outputs), targets

    def to_mapping(self) -> dict[str, Any]:
        """Return what bundle.json holds."""
        return {"output": self.output, "num_outputs": self.num_outputs, "class_names": list(self.class_names)}


def build_classification(criterion: Criterion, targets: TrainTargets) -> Classification:
    """Return the task of train's classes. Raises RecipeError when criterion and classes do not go together."""
    return build_task(criterion, targets.class_names)


def read_classification(mapping: Mapping[str, Any]) -> Classification:
    """Return the task that a bundle keeps."""
    return Classification(tuple(mapping["class_names"]), mapping["output"], mapping["num_outputs"])


def build_class_loss(
    criterion: Criterion,
    targets: TrainTargets,
    device: torch.device,
    own: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> BatchLoss:
    """Build the criterion, see `build_batch_loss`."""
    assert targets.counts is not None
    return build_batch_loss(criterion, targets.counts, device, own)


def build_task(criterion: Criterion, class_names: tuple[str, ...]) -> Classification:
    """Return the task that a criterion and the classes make. Raises RecipeError when they do not go together."""
    return Classification(class_names, output_for(criterion), num_outputs_for(criterion, len(class_names)))


def build_batch_loss(
    criterion: Criterion,
    class_counts: Tensor,
    device: torch.device,
    own: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> BatchLoss:
    """Build the criterion; `class_counts` (K,) are of train, for balanced weights; `own` is the user's function.

    Raises RecipeError when there is not one weight a class."""
    if own is not None:
        return lambda outputs, targets: (own(outputs.float(), targets), len(targets))
    if not isinstance(criterion, (CrossEntropy, Nll, Bce, BceWithLogits)):
        raise RecipeError(
            "`criterion.name` is 'custom', which only Python can give: nw.train(…, criterion=…), "
            "and nw.load(…, criterion=…) later"
        )
    weights = class_weights(criterion.class_weights, class_counts)
    weights = None if weights is None else weights.to(device)
    if isinstance(criterion, Nll):
        return _nll(weights)
    if not isinstance(criterion, CrossEntropy):
        return _binary(criterion, weights)
    return _cross_entropy(weights, criterion.label_smoothing)


def _nll(weights: Tensor | None) -> BatchLoss:
    if weights is None:
        return lambda outputs, targets: (functional.nll_loss(outputs.float(), targets), len(targets))
    return lambda outputs, targets: (functional.nll_loss(outputs.float(), targets, weights), weights[targets].sum())


def _binary(criterion: Bce | BceWithLogits, weights: Tensor | None) -> BatchLoss:
    """Return it of one output, in fp32: a probability rounded to bf16 can be exactly 0 or 1."""
    binary = functional.binary_cross_entropy
    if isinstance(criterion, BceWithLogits):
        binary = functional.binary_cross_entropy_with_logits
    if weights is None:
        return lambda outputs, targets: (binary(outputs.squeeze(1).float(), targets.float()), len(targets))

    def batch_loss(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        each = weights[targets]
        total = binary(outputs.squeeze(1).float(), targets.float(), each, reduction="sum")
        return total / each.sum(), each.sum()

    return batch_loss


@dataclass(frozen=True)
class _CrossEntropy:
    """Without class weights."""

    smoothing: float

    def __call__(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int]:
        return functional.cross_entropy(outputs.float(), targets, label_smoothing=self.smoothing), len(targets)

    def with_gradient(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int, Tensor]:
        """See `LossWithGradient`."""
        if self.smoothing or targets.dim() == 2:
            return gradient_by_autograd(self, outputs, targets)
        aten = torch.ops.aten
        logs = aten._log_softmax.default(outputs, 1, False)
        loss, total = aten.nll_loss_forward.default(logs, targets, None, MEAN, _NO_CLASS)
        of_logs = aten.nll_loss_backward.default(ONE, logs, targets, None, MEAN, _NO_CLASS, total)
        return loss, len(targets), aten._log_softmax_backward_data.default(of_logs, logs, 1, torch.float32)


_NO_CLASS = -100  # torch's target of what is left out: there is none


def _cross_entropy(weights: Tensor | None, smoothing: float) -> BatchLoss:
    """Return cross-entropy of logits (B, K) and classes (B,) or shares of classes (B, K).

    torch divides the weighted losses of shares by B, and those of classes by the sum of their weights. Here both are
    divided by the weights that the targets have, so that a share of 1 is the same as the class."""

    if weights is None:
        return _CrossEntropy(smoothing)

    def batch_loss(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | int]:
        outputs = outputs.float()
        if targets.dim() == 1:
            loss = functional.cross_entropy(outputs, targets, weights, label_smoothing=smoothing)
            return loss, weights[targets].sum()
        total = functional.cross_entropy(outputs, targets, weights, label_smoothing=smoothing, reduction="sum")
        weight = (targets @ weights).sum()
        return total / weight, weight

    return batch_loss


def sample_losses(
    criterion: Criterion, log_probabilities: Tensor, targets: Tensor, class_counts: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Return each image's part of the loss and its weight, (N,) float64 both: sum over sum is the criterion's mean.

    From log-probabilities (N, K), which say all that the built-in criteria ask of the outputs; None for one of the
    user's own."""
    scores = log_probabilities.double()
    if not isinstance(criterion, (CrossEntropy, Nll, Bce, BceWithLogits)):
        return None
    weights = class_weights(criterion.class_weights, class_counts)
    weights = torch.ones(scores.shape[1]) if weights is None else weights
    weights = weights.double()
    smoothing = criterion.label_smoothing if isinstance(criterion, CrossEntropy) else 0.0
    losses = functional.cross_entropy(scores, targets, weights, label_smoothing=smoothing, reduction="none")
    return losses, weights[targets]


def class_weights(given: ClassWeights, class_counts: Tensor) -> Tensor | None:
    """Return one weight a class, or None; balanced is N / (K · count), as scikit-learn's `class_weight="balanced"`.

    A class that train lacks has nothing to balance, and the weight 1."""
    if given is None:
        return None
    if given == "balanced":
        counts = class_counts.float()
        return (counts.sum() / (len(counts) * counts)).masked_fill(counts == 0, 1.0)
    if len(given) != len(class_counts):
        raise RecipeError(
            f"`criterion.class_weights` has {len(given)} numbers and the data {len(class_counts)} classes; "
            "give one a class"
        )
    return torch.tensor(given, dtype=torch.float32)
