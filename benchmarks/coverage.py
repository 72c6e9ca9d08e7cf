"""How often the truth lies inside the 95 % intervals: simulated test sets from populations whose truth is known.

    python benchmarks/coverage.py [--sets 2000] [--size 500]      # about 6 minutes on one core
    python benchmarks/coverage.py --only-others                   # differences, moved images, means of seeds

A population is 100,000 images with the answers of a simulated network; a test set is `size` of them drawn with
replacement, so that the population's own number is exactly what an interval is about. Aims: Wilson 94 to 96 %, the rest
92 to 97 %. The printed ± is two standard errors of the counting itself.
"""

import argparse
import time
from typing import Any

import numpy as np

from netwright.evaluation.compare import compare_answers
from netwright.evaluation.metrics import classification_metrics
from netwright.evaluation.shifts import accuracy_interval, cost_interval
from netwright.evaluation.spread import spread

# name: (classes, how far the right class stands out, sharpness: equal to it means calibrated, uneven classes)
POPULATIONS = {
    "10 classes, 90 % right, calibrated": (10, 3.0, 3.0, False),
    "10 classes, 90 % right, far too sure": (10, 3.0, 6.0, False),
    "2 classes, 76 % right, calibrated": (2, 1.0, 1.0, False),
    "5 uneven classes, 82 % right, too unsure": (5, 2.2, 1.5, True),
}
SIZE = 100_000


def population(num_classes: int, strength: float, sharpness: float, uneven: bool) -> tuple[Any, Any]:
    """Return log-probabilities (N, K) and targets (N,)."""
    random = np.random.default_rng(0)
    shares = np.arange(1.0, num_classes + 1) if uneven else np.ones(num_classes)
    targets = random.choice(num_classes, SIZE, p=shares / shares.sum())
    logits = random.normal(size=(SIZE, num_classes))
    logits[np.arange(SIZE), targets] += strength
    logits *= sharpness
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), targets


def numbers(scores: Any, targets: Any) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the metrics that have an interval, and the intervals."""
    names = tuple(str(number) for number in range(scores.shape[1]))
    losses = -scores[np.arange(len(targets)), targets]
    parts = (losses, np.ones(len(targets)))
    found = classification_metrics(scores, targets, names, loss=float(losses.mean()), sample_losses=parts)
    inner = found["calibration"]
    intervals = {name: ends for name, ends in found["intervals"].items() if name != "top_k"}
    intervals |= {name: inner["intervals"][name] for name in ("ece", "brier", "log_loss")}
    values = {name: inner[name] if name in inner else found[name] for name in intervals}
    for k, value in found["top_k"].items():
        values[f"top-{k}"], intervals[f"top-{k}"] = value, found["intervals"]["top_k"][k]
    last = found["per_class"][0]
    for name in ("precision", "recall", "f1"):
        values[f"{name} of class 0"], intervals[f"{name} of class 0"] = last[name], last[f"{name}_interval"]
    return values, intervals


def other_populations() -> dict[str, tuple[Any, ...]]:
    """Return populations of two networks (right answers and log losses of each) and of one on moved images (the share
    of four directions in which an image is answered rightly, and what moving costs it)."""
    random = np.random.default_rng(0)
    hardness = random.normal(size=SIZE)
    made: dict[str, tuple[Any, ...]] = {}
    for title, skill, unlike in (
        ("alike", (1.3, 1.4), 0.3),
        ("far apart", (0.8, 1.8), 1.0),
        ("twins", (2.0, 2.0), 0.1),
    ):
        margins = [one - hardness + unlike * random.normal(size=SIZE) for one in skill]
        made[f"two networks, {title}"] = tuple((margin > 0, np.log1p(np.exp(-2 * margin))) for margin in margins)
    for title, skill, cost in (("robust", 2.0, 0.1), ("not robust", 2.0, 1.5)):
        still = (skill - hardness > 0).astype(float)
        moved = (skill - cost - hardness[:, None] + 0.3 * random.normal(size=(SIZE, 4)) > 0).mean(axis=1)
        made[f"moved images, {title}"] = (moved, still - moved)
    return made


def other_numbers(parts: tuple[Any, ...], rows: Any) -> tuple[dict[str, float], dict[str, Any]]:
    """Return what `runs compare` and `evaluate --shifts` say of some rows of a population, and the intervals."""
    if not isinstance(parts[0], tuple):
        moved, cost = parts[0][rows], parts[1][rows]
        values = {"accuracy of moved images": float(moved.mean()), "accuracy lost": float(cost.mean())}
        return values, dict(zip(values, (accuracy_interval(moved), cost_interval(cost)), strict=True))
    (first, first_loss), (second, second_loss) = ((right[rows], loss[rows]) for right, loss in parts)
    found = compare_answers((first, second), (first_loss, second_loss))
    names = ("accuracy_difference", "log_loss_difference")
    return {name: found[name] for name in names}, {name: found[f"{name}_interval"] for name in names}


def count_others(sets: int, size: int) -> None:
    """Print tables for comparisons, moved images and means over seeds."""
    for title, parts in other_populations().items():
        truth, _ = other_numbers(parts, np.arange(SIZE))
        random = np.random.default_rng(1)
        inside = dict.fromkeys(truth, 0)
        for _ in range(sets):
            _, intervals = other_numbers(parts, random.integers(0, SIZE, size))
            for name, value in truth.items():
                inside[name] += intervals[name][0] <= value <= intervals[name][1]
        print(f"\n{title}; {sets:,} sets of {size}")
        show(truth, inside, sets)
    random = np.random.default_rng(2)
    for num_seeds in (2, 5):
        trainings = 0.95 + 0.003 * random.normal(size=(sets, num_seeds))
        ends = [spread(values)["interval"] for values in trainings]
        print(f"\nmean over {num_seeds} seeds; {sets:,} series")
        show({"accuracy": 0.95}, {"accuracy": sum(low <= 0.95 <= high for low, high in ends)}, sets)


def show(truth: dict[str, float], inside: dict[str, int], sets: int) -> None:
    """Print in how many of the sets each truth was inside."""
    for name, count in inside.items():
        part = count / sets
        error = 200 * (part * (1 - part) / sets) ** 0.5
        print(f"  {name:24s} truth {truth[name]:.4f}   inside {100 * part:5.1f} % ± {error:.1f}", flush=True)


def main() -> None:
    """Print a table for each population."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--size", type=int, default=500)
    parser.add_argument("--only-others", action="store_true")
    asked = parser.parse_args()
    count_others(asked.sets, asked.size)
    if asked.only_others:
        return
    for title, settings in POPULATIONS.items():
        started = time.process_time()
        scores, targets = population(*settings)
        truth, _ = numbers(scores, targets)
        random = np.random.default_rng(1)
        inside = dict.fromkeys(truth, 0)
        for _ in range(asked.sets):
            rows = random.integers(0, SIZE, asked.size)
            _, intervals = numbers(scores[rows], targets[rows])
            for name, value in truth.items():
                ends = intervals[name]
                inside[name] += ends is not None and ends[0] <= value <= ends[1]
        print(
            f"\n{title}; {asked.sets:,} sets of {asked.size}, {time.process_time() - started:.0f} s of processor time"
        )
        show(truth, inside, asked.sets)


if __name__ == "__main__":
    main()
