"""How often the truth lies inside the 95 % intervals: simulated test sets from populations whose truth is known.

    python benchmarks/coverage.py [--sets 2000] [--size 500]      # about 4 minutes on one core

A population is 100,000 images with the answers of a simulated network; a test set is `size` of them drawn with
replacement, so that the population's own number is exactly what an interval is about. Aims: Wilson 94 to 96 %, the rest
92 to 97 %. The printed ± is two standard errors of the counting itself.
"""

import argparse
import time
from typing import Any

import numpy as np

from netwright.evaluation.metrics import classification_metrics

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
    intervals |= {name: inner["intervals"][name] for name in ("ece", "brier")}
    values = {name: inner[name] if name in inner else found[name] for name in intervals}
    last = found["per_class"][0]
    for name in ("precision", "recall", "f1"):
        values[f"{name} of class 0"], intervals[f"{name} of class 0"] = last[name], last[f"{name}_interval"]
    return values, intervals


def main() -> None:
    """Print a table for each population."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--size", type=int, default=500)
    asked = parser.parse_args()
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
        for name, count in inside.items():
            part = count / asked.sets
            error = 200 * (part * (1 - part) / asked.sets) ** 0.5
            print(f"  {name:22s} truth {truth[name]:.4f}   inside {100 * part:5.1f} % ± {error:.1f}")


if __name__ == "__main__":
    main()
