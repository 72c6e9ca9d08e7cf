"""The optimum of a linear head: softmax regression with an L2 penalty on standardised features, by L-BFGS.

Minimised is the criterion's mean over train + penalty / 2 · Σ (weight · deviation)², deviation being the standard
deviation of the weight's feature on train; the bias is free. It is scikit-learn's LogisticRegression behind a
StandardScaler, with C = 1 / (penalty · number of images)."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from netwright.config.optimization import CrossEntropy
from netwright.errors import WorkFailed
from netwright.tasks.classification import class_weights
from netwright.training.curvature import Curvature, Pairs

TOLERANCE = 1e-4  # of the gradient's largest number, as scikit-learn's
FINE_TOLERANCE = 1e-6  # where a pass takes less than a millisecond
FINE_VALUES = 2**20  # of features
MOST_PASSES = 1000
STALLED = 15  # passes without a smaller gradient: fp32 gives no better point
NOISE = 1e-7  # of the objective: what fp32 may add to it
AHEAD = 0.7  # of the way between the last two optima, to where the next is looked for: a tenth fewer passes
# images at once: in the processor's cache their features stay from one product to the other
BLOCK_ROWS, BLOCK_BYTES, BLOCK_ROWS_DEVICE = 8192, 2**24, 2**16
SUM_ROWS = 2048  # of images: sums over them are made in fp32, the sums' in fp64


def penalty_of(epoch: int) -> float:
    """Return the penalty of an epoch, from 1 on: 1, 0.32, 0.1, 0.032, …"""
    return float(10 ** ((1 - epoch) / 2))


def _not_finite(features: Tensor) -> WorkFailed:
    bad = sum(int((~some.isfinite().all(dim=1)).sum()) for some in torch.split(features, BLOCK_ROWS))
    return WorkFailed(
        f"the features of {bad:,} of {len(features):,} images are not finite; compute them in "
        "`runtime.precision: fp32`, and if they are so there too, the backbone's weights are damaged"
    )


class HeadSolver:
    """Sets a linear layer to the optimum for one penalty after the other, from zero on, each from those before.

    `features` (N, D) float32 and `targets` (N,) int64 of train lie on one device, `class_counts` (K,) are train's.
    What the layer holds is overwritten and plays no part: where the objective is least does not depend on it. Raises
    WorkFailed at once where features are not finite: no penalty has an optimum then."""

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
        if not bool(self._mean.isfinite().all()):
            raise _not_finite(features)
        middle = self._mean.float().to(device)
        # in a second pass: as a difference of squares it would cancel
        deviation = (self._summed(lambda some: (some - middle).square_()) / len(features)).sqrt()
        # a feature that never changes says nothing: its weight stays 0
        self._deviation_of = torch.where(deviation > 1e-6 * deviation.max(), deviation, 1.0)
        shares = (weights.cpu().double() * class_counts.cpu()) / self._total
        self._curvature = Curvature(features, self._mean, self._deviation_of, shares)
        self._begin()

    def _begin(self) -> None:
        """Stand at zero, before the first epoch."""
        size = (self.linear.out_features, self.linear.in_features + 1)
        self._epoch = 0
        self._point = self._before = torch.zeros(size, dtype=torch.float64)  # weight, standardised, and bias
        self._pairs = Pairs(self._point.numel())

    def walk_to(self, epoch: int) -> None:
        """Set the layer to the optimum for an epoch's penalty.

        A resumed run walks through the penalties before it once more, and so finds the very same numbers."""
        if epoch <= self._epoch:
            self._begin()
        for number in range(self._epoch + 1, epoch + 1):
            self.solve(penalty_of(number))
        self._epoch = epoch

    def solve(self, penalty: float) -> int:
        """Set the layer to the optimum for a penalty; return how many passes over train that took."""
        start = self._point + AHEAD * (self._point - self._before)
        self._before = self._point
        tolerance = FINE_TOLERANCE if self.features.numel() <= FINE_VALUES else TOLERANCE
        self._point, passes = self._descend(start, penalty, tolerance)
        plain, bias = self._plain(self._point)
        with torch.no_grad():
            self.linear.weight.copy_(plain)
            self.linear.bias.copy_(bias)
        return passes

    def answers(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the logits (B, K) of train under the layer as it stands, and targets (B,), some images at a time."""
        for some, targets in zip(self._blocks(self.features), self._blocks(self.targets), strict=True):
            with torch.no_grad():
                yield torch.nn.functional.linear(some, self.linear.weight, self.linear.bias), targets

    def _descend(self, point: Tensor, penalty: float, tolerance: float) -> tuple[Tensor, int]:
        """Follow L-BFGS from a point (K, D + 1) to the optimum; return it and the number of passes."""
        turned = self._curvature.at(penalty)
        self._pairs.change_penalty(penalty)
        value, gradient = self._evaluate(point, penalty)
        passes, best, stalled = 1, float(gradient.abs().max()), 0
        while best > tolerance and stalled < STALLED and passes < MOST_PASSES:
            step = -self._pairs.times(gradient, turned)
            slope = float((step * gradient).sum())
            share = 1.0
            while True:
                new_value, new_gradient = self._evaluate(point + share * step, penalty)
                passes += 1
                if new_value <= value + 1e-4 * share * slope + NOISE * abs(value) or passes >= MOST_PASSES:
                    break
                # the parabola through both values and the slope has its least point there
                share *= min(0.5, max(0.1, -slope * share / (2 * (new_value - value - slope * share))))
            self._pairs.add(share * step, new_gradient - gradient)
            point, value, gradient = point + share * step, new_value, new_gradient
            largest = float(gradient.abs().max())
            stalled = 0 if largest < best else stalled + 1
            best = min(best, largest)
        return point, passes

    def _evaluate(self, point: Tensor, penalty: float) -> tuple[float, Tensor]:
        """Return the objective and its gradient (K, D + 1) float64."""
        plain, plain_bias = self._plain(point)
        every = self._of_every
        value = torch.zeros((), dtype=torch.float64, device=plain.device)
        of_plain = torch.zeros(plain.shape, dtype=torch.float64, device=plain.device)
        of_bias = torch.zeros(len(plain), dtype=torch.float64, device=plain.device)
        parts = (self._blocks(part) for part in (self.features, self.targets, self._of_right))
        for some, targets, right in zip(*parts, strict=True):
            logs = log_softmax_of(some, plain, plain_bias)
            losses = right * logs.gather(0, targets[None])[0]
            if self._is_smoothed:
                losses += every @ logs
            value -= losses.sum(dtype=torch.float64)
            errors = logs.exp_().mul_(right + every.sum()).sub_(every[:, None])
            errors.scatter_add_(0, targets[None], -right[None])
            of_plain += summed_products(errors, some)
            of_bias += errors.sum(dim=1, dtype=torch.float64)
        of_bias = of_bias.cpu() / self._total
        weight = point[:, :-1]
        of_weight = (of_plain.cpu() / self._total - of_bias[:, None] * self._mean) / self._deviation_of
        objective = float(value) / self._total + 0.5 * penalty * float(weight.square().sum())
        return objective, torch.cat([of_weight + penalty * weight, of_bias[:, None]], dim=1)

    @property
    def _is_smoothed(self) -> bool:
        return bool(self._of_every.any())

    def _plain(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight (K, D) and bias (K,) float32 for the features as they are, on their device."""
        scaled = point[:, :-1] / self._deviation_of
        device = self.features.device
        return scaled.float().to(device), (point[:, -1] - scaled @ self._mean).float().to(device)

    def _summed(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the sum (D,) float64 over all images of a function of features (B, D)."""
        total = torch.zeros(self.features.shape[1], dtype=torch.float64)
        for some in self._blocks(self.features):
            total += of(some).sum(dim=0).cpu()
        return total

    def _blocks(self, part: Tensor) -> tuple[Tensor, ...]:
        if self.features.device.type != "cpu":
            return torch.split(part, BLOCK_ROWS_DEVICE)
        return torch.split(part, max(1, min(BLOCK_ROWS, BLOCK_BYTES // (4 * max(1, self.features.shape[1])))))


def log_softmax_of(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the logarithms (K, B) of the probabilities of features (B, D) under a linear layer (K, D), (K,).

    Classes first: with the ten of an image side by side softmax takes 5 ms for 50,000 images, so 0.3. On a CPU the
    product is oneDNN's, as a convolution of one pixel: 6 ms where MKL's product takes 14 to 20 (50,000 × 512, ten
    classes, two threads of an AMD EPYC)."""
    if features.device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        pixels = features[None, :, None].permute(0, 3, 1, 2)  # (1, D, B, 1), its channels last in memory
        logits = conv2d(pixels, weight[:, :, None, None].contiguous(memory_format=torch.channels_last), bias)
        return logits.view(len(weight), -1).contiguous().log_softmax(dim=0)
    return torch.addmm(bias[:, None], weight, features.T).log_softmax(dim=0)


def summed_products(errors: Tensor, features: Tensor) -> Tensor:
    """Return errors (K, B) @ features (B, D) in float64: fp32 sums of some images each, those added in fp64.

    The parts' products are made side by side: 8.5 ms where one of all takes 11 to 17 (see above)."""
    whole = len(features) // SUM_ROWS * SUM_ROWS
    rest = (errors[:, whole:] @ features[whole:]).double()
    if whole == 0:
        return rest
    parts = features[:whole].view(-1, SUM_ROWS, features.shape[1])
    of_parts = errors[:, :whole].view(len(errors), -1, SUM_ROWS).transpose(0, 1)
    return rest.add_(torch.bmm(of_parts, parts).sum(dim=0, dtype=torch.float64))
