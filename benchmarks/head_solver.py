"""The head's optimum on cached features: 50,000 × 512, ten classes, against scikit-learn's LogisticRegression.

    python -m benchmarks.head_solver [--features FILE.npz] [--images 50000] [--width 512] [--threads 2] [--pairs 3]

FILE has `features` (N, D) and `targets` (N,); without it classes that overlap are drawn, in features as a network's:
positive, of different scales, hanging together. A fit is one penalty, from zero; the path is the six from 1 down to
0.003, each from the one before. scikit-learn fits the same penalties on standardised features (standardising is not
timed), with its own tolerance.
Goal: a fit under 1 s. `--cpu` counts processor time in place of the clock, for a busy machine."""

import argparse
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from netwright.config.optimization import CrossEntropy
from netwright.training.head_solver import HeadSolver, penalty_of

PATH = [penalty_of(epoch) for epoch in range(1, 7)]
Solver = tuple[nn.Linear, HeadSolver]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", help="an .npz with features and targets")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="processor time in place of the clock's")
    parser.add_argument("--alone", action="store_true", help="without scikit-learn, which takes minutes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = process_time if options.cpu else perf_counter
    features, targets = read(options.features) if options.features else draw(options)
    classes = int(targets.max()) + 1
    print(f"{len(features):,} × {features.shape[1]} features, {classes} classes, {options.threads} threads, seconds")
    fresh(features, targets)[1].solve(1.0)  # the first products take longer
    standard = None if options.alone else StandardScaler().fit_transform(features.numpy())
    print(f"{'penalty':>10}{'passes':>8}{'a fit':>8}{'on the path':>13}{'scikit-learn':>14}{'÷':>7}")
    whole: list[float] = []
    _, walked = fresh(features, targets)
    for penalty in PATH:
        fits, passes, theirs = [], 0, float("nan")
        for _ in range(options.pairs):
            seconds, passes = timed(lambda given: fresh(features, targets)[1].solve(given), penalty, clock)
            fits.append(seconds)
        step = timed(walked.solve, penalty, clock)[0]
        whole.append(step)
        if standard is not None:
            theirs = timed(lambda given: theirs_of(standard, targets, given), penalty, clock)[0]
        ours = median(fits)
        print(f"{penalty:10.3g}{passes:8d}{ours:8.2f}{step:13.2f}{theirs:14.2f}{theirs / ours:7.1f}", flush=True)
    print(f"the path in all: {sum(whole):.2f} s")
    return 0


def timed(work: Callable[[float], int], penalty: float, clock: Callable[[], float]) -> tuple[float, int]:
    start = clock()
    result = work(penalty)
    return clock() - start, result


def fresh(features: Tensor, targets: Tensor) -> Solver:
    """Return a linear layer of zeros and its solver; what that measures of the features is part of the time."""
    linear = nn.Linear(features.shape[1], int(targets.max()) + 1)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear, HeadSolver(linear, features, targets, CrossEntropy(), torch.bincount(targets))


def theirs_of(standard: np.ndarray, targets: Tensor, penalty: float) -> int:
    model = LogisticRegression(C=1 / (penalty * len(targets)), max_iter=1000).fit(standard, targets.numpy())
    return int(model.n_iter_[0])


def read(path: str) -> tuple[Tensor, Tensor]:
    with np.load(path) as archive:
        return torch.from_numpy(archive["features"]).float(), torch.from_numpy(archive["targets"]).long()


def draw(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Draw features (N, D) float32 of 128 hidden causes, and targets (N,)."""
    torch.manual_seed(0)
    targets = torch.randint(options.classes, (options.images,))
    centres = torch.randn(options.classes, 128)
    causes = 0.35 * centres[targets] + torch.randn(options.images, 128) * torch.logspace(0, -1, 128)
    mixed = causes @ torch.randn(128, options.width) / 4 + 0.3 * torch.randn(options.images, options.width)
    return torch.relu(mixed) * torch.logspace(-1, 1, options.width), targets


if __name__ == "__main__":
    sys.exit(main())
