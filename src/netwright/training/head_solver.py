"""The optimum of a linear head: softmax regression with an L2 penalty on standardised features, by L-BFGS.

Minimised is the criterion's mean over train + penalty / 2 · Σ (weight · deviation)², deviation being the standard
deviation of the weight's feature on train; the bias is free. It is scikit-learn's LogisticRegression behind a
StandardScaler, with C = 1 / (penalty · number of images)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from netwright.config.optimization import CrossEntropy
from netwright.tasks.classification import class_weights

TOLERANCE = 1e-4  # of the gradient's largest number, as scikit-learn's
FINE_TOLERANCE = 1e-6  # where a pass takes less than a millisecond
FINE_VALUES = 2**20  # of features
MOST_PASSES = 1000
REMEMBERED = 20  # pairs of steps and gradients: with 10 as many passes, or up to a fifth more
SAMPLED = 4096  # images that say how features hang together, or more:
ENOUGH = 4  # images a feature, for that
SUMMED = 512  # images at once: their sum is made in fp32, the sums' in fp64; 12 ms for 50,000 where all of fp64 is 190
CHUNK_VALUES = 2**22  # of logits at once: 16 MB
Point = npt.NDArray[np.float64]


def penalty_of(epoch: int) -> float:
    """Return the penalty of an epoch, from 1 on: 1, 0.32, 0.1, 0.032, …"""
    return float(10 ** ((1 - epoch) / 2))


class HeadSolver:
    """Sets a linear layer to the optimum for one penalty after the other, each from where the layer stands.

    `features` (N, D) float32 and `targets` (N,) int64 of train lie on one device, `class_counts` (K,) are train's."""

    def __init__(
        self, linear: nn.Linear, features: Tensor, targets: Tensor, criterion: CrossEntropy, class_counts: Tensor
    ) -> None:
        self.linear, self.features, self.targets = linear, features, targets
        weights = class_weights(criterion.class_weights, class_counts)
        weights = torch.ones(linear.out_features) if weights is None else weights
        smoothing = criterion.label_smoothing
        device = features.device
        self._of_right = ((1 - smoothing) * weights.to(device))[targets]  # (N,): what the right class's logit weighs
        self._of_every = (smoothing / len(weights) * weights).to(device)  # (K,)
        self._total = float(weights.to(device)[targets].double().sum())
        self._mean = self._summed(lambda some: some) / len(features)
        middle = self._mean.float().to(device)
        # in a second pass: as a difference of squares it would cancel
        deviation = (self._summed(lambda some: (some - middle).square_()) / len(features)).sqrt()
        # a feature that never changes says nothing: its weight stays 0
        self._deviation_of = torch.where(deviation > 1e-6 * deviation.max(), deviation, 1.0)

    def _summed(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the sum (D,) float64 over all images of a function of features (B, D)."""
        total = torch.zeros(self.features.shape[1], dtype=torch.float64)
        for some in torch.split(self.features, SUMMED):
            total += of(some).sum(dim=0).cpu()
        return total

    def solve(self, penalty: float) -> int:
        """Set the layer to the optimum for a penalty; return how many passes over train that took."""
        from scipy.optimize import minimize  # 0.2 s to load, which no other training waits for

        weight, bias = self._standardised()
        turn = _Turn.build(*self._sampled(weight, bias), penalty) if self._is_enough else _Turn.none(weight.shape[1])
        passes, largest = 0, np.inf
        tolerance = FINE_TOLERANCE if self.features.numel() <= FINE_VALUES else TOLERANCE

        def value_and_gradient(point: Point) -> tuple[float, Point]:
            nonlocal passes, largest
            passes += 1
            value, of_weight, of_bias = self._evaluate(*turn.back(point), penalty)
            largest = float(torch.maximum(of_weight.abs().max(), of_bias.abs().max()))
            return value, turn.gradient(of_weight, of_bias)

        def stop(_: Point) -> None:
            if largest <= tolerance:
                raise StopIteration

        options: dict[str, Any] = {"maxcor": REMEMBERED, "maxiter": MOST_PASSES, "maxfun": MOST_PASSES}
        options |= {"gtol": 0.0, "ftol": 1e-12}  # the latter ends it where fp32 gives no better value any more
        start = turn.there(weight, bias)
        found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", callback=stop, options=options)
        self._keep(*turn.back(found.x))
        return passes

    def outputs(self) -> Tensor:
        """Return the logits (N, K) of train, under the layer as it stands."""
        with torch.no_grad():
            return torch.nn.functional.linear(self.features, self.linear.weight, self.linear.bias)

    @property
    def _is_enough(self) -> bool:
        return len(self.features) >= ENOUGH * self.features.shape[1]

    def _standardised(self) -> tuple[Tensor, Tensor]:
        """Return the layer's weight (K, D) and bias (K,) float64, for standardised features."""
        weight = self.linear.weight.detach().double().cpu()
        bias = self.linear.bias.detach().double().cpu()
        return weight * self._deviation_of, bias + weight @ self._mean

    def _plain(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight and bias float32 for the features as they are, on their device."""
        scaled = weight / self._deviation_of
        device = self.features.device
        return scaled.float().to(device), (bias - scaled @ self._mean).float().to(device)

    def _keep(self, weight: Tensor, bias: Tensor) -> None:
        plain = self._plain(weight, bias)
        with torch.no_grad():
            self.linear.weight.copy_(plain[0])
            self.linear.bias.copy_(plain[1])

    def _sampled(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised features (S, D) of evenly spaced images and their probabilities (S, K)."""
        most = max(SAMPLED, ENOUGH * self.features.shape[1])
        some = self.features[:: -(-len(self.features) // most)].cpu()
        standard = (some - self._mean.float()) / self._deviation_of.float()
        return standard, torch.addmm(bias.float(), standard, weight.float().T).softmax(dim=1)

    def _evaluate(self, weight: Tensor, bias: Tensor, penalty: float) -> tuple[float, Tensor, Tensor]:
        """Return the objective and its gradient by weight (K, D) and bias (K,), float64."""
        plain, plain_bias = self._plain(weight, bias)
        value, every = 0.0, self._of_every
        of_plain = torch.zeros_like(plain)
        of_bias = torch.zeros(len(bias), dtype=torch.float64)
        size = max(1, CHUNK_VALUES // len(bias))
        parts = (self.features, self.targets, self._of_right)
        for some, targets, right in zip(*(torch.split(part, size) for part in parts), strict=True):
            logits = torch.addmm(plain_bias, some, plain.T)
            logits -= logits.logsumexp(dim=1, keepdim=True)
            losses = right * logits.gather(1, targets[:, None])[:, 0]
            if every.any():
                losses += logits @ every
            value -= float(losses.sum(dtype=torch.float64))
            errors = logits.exp_().mul_((right + every.sum())[:, None]).sub_(every)
            errors.scatter_add_(1, targets[:, None], -right[:, None])
            of_plain.addmm_(errors.T, some)  # ten times as fast as features.T @ errors: 20 and 220 ms, 50,000 × 512
            of_bias += errors.sum(dim=0, dtype=torch.float64).cpu()
        of_bias /= self._total
        of_weight = (of_plain.double().cpu() / self._total - of_bias[:, None] * self._mean) / self._deviation_of
        objective = value / self._total + 0.5 * penalty * float(weight.square().sum())
        return objective, of_weight + penalty * weight, of_bias


class _Turn:
    """Other coordinates of weight and bias, in which the objective is about as steep in all directions.

    Features are turned to the axes of their covariance; the curvature along each, of each class, is about
    mean(p (1 - p) · feature²) + penalty. Of 512 features of SqueezeNet a fit takes 21 to 77 passes in them, 34 to 177
    without (penalty 0.1 to 1e-5)."""

    def __init__(self, axes: Tensor | None, steepness: Tensor, of_bias: Tensor) -> None:
        self._axes, self._steepness, self._of_bias = axes, steepness, of_bias

    @classmethod
    def none(cls, width: int) -> "_Turn":
        return cls(None, torch.ones(width, dtype=torch.float64), torch.ones((), dtype=torch.float64))

    @classmethod
    def build(cls, features: Tensor, probabilities: Tensor, penalty: float) -> "_Turn":
        """From standardised features (S, D) and probabilities (S, K) of some images."""
        axes = torch.linalg.eigh(features.T @ features)[1]
        turned = (features @ axes).square_()
        spread = probabilities * (1 - probabilities)
        curvature = (spread.T @ turned).double() / len(features) + penalty
        return cls(axes.double(), curvature.sqrt(), (spread.mean(dim=0).double() + 1e-6).sqrt())

    def there(self, weight: Tensor, bias: Tensor) -> Point:
        turned = weight if self._axes is None else weight @ self._axes
        return _flat(turned * self._steepness, bias * self._of_bias)

    def back(self, point: Point) -> tuple[Tensor, Tensor]:
        values = torch.from_numpy(point)
        bias = values[-self._num_classes(len(point)) :]
        turned = values[: len(point) - len(bias)].view(len(bias), -1) / self._steepness
        return turned if self._axes is None else turned @ self._axes.T, bias / self._of_bias

    def gradient(self, of_weight: Tensor, of_bias: Tensor) -> Point:
        turned = of_weight if self._axes is None else of_weight @ self._axes
        return _flat(turned / self._steepness, of_bias / self._of_bias)

    def _num_classes(self, size: int) -> int:
        return size // (self._steepness.shape[-1] + 1)


def _flat(weight: Tensor, bias: Tensor) -> Point:
    return torch.cat([weight.reshape(-1), bias]).numpy()
