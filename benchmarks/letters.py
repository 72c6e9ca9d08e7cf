"""Fine-tune a network of our own to other classes, beside training the same network from nothing for as many steps.

    python benchmarks/letters.py --data-root DIR [--steps 10 20 50 100] [--seeds 3]

MNIST cut in two by class: a network for the digits 0 to 4 (`--epochs`), then its weights for 5 to 9: the whole network,
the head alone, and random first weights. One epoch each at a constant lr, judged on val after so many steps of 64.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import netwright as nw

NETWORK = {"name": "cnn", "channels": [5, 10, 20, 40], "pool_after": [2, 4], "classifier_sizes": [2048]}
WAYS: dict[str, dict[str, Any]] = {
    "from nothing": {"model": NETWORK},
    "fine-tuned": {},
    "fine-tuned, the head alone": {"freeze": "backbone", "lr": 0.003},  # a fresh Linear takes ten times the lr
}


def val_accuracies(steps: list[int], **settings: Any) -> list[float]:
    """Train one epoch on the digits 5 to 9; return val accuracy after each number of steps."""
    training = {"epochs": 1, "eval_every_steps": min(steps), "seed": settings.pop("seed")}
    run = nw.train(classes=tuple("56789"), training=training, quiet=True, **settings)
    found = {each["step"]: each["val_accuracy"] for each in run.history[0]["evaluations"]}
    return [found[step] for step in steps]


def measured(given: argparse.Namespace, folder: Path, seed: int) -> dict[str, list[float]]:
    """Return way -> val accuracies of one seed."""
    where = {"data": given.data, "data_root": given.data_root, "threads": given.threads}
    first = nw.train(
        **where,
        classes=tuple("01234"),
        model=NETWORK,
        epochs=given.epochs,
        seed=seed,
        out=folder / f"first-{seed}",
        quiet=True,
    )
    results = {}
    for place, (way, settings) in enumerate(WAYS.items()):
        weights = {} if way == "from nothing" else {"weights": first}
        out = folder / f"{place}-{seed}"
        results[way] = val_accuracies(given.steps, **where, **settings, **weights, seed=seed, out=out)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist", help="MNIST by name, or an .npz of it")
    parser.add_argument("--data-root", help="where MNIST lies; else it is fetched")
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 20, 50, 100], help="multiples of the first")
    parser.add_argument("--epochs", type=int, default=5, help="of the first network")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [measured(given, Path(folder), seed) for seed in range(given.seeds)]
    print(f"val accuracy on 5 to 9 after so many steps, mean of {given.seeds} seeds")
    print(f"{'':<28}" + "".join(f"{step:>8}" for step in given.steps))
    for way in WAYS:
        means = [mean(column) for column in zip(*(run[way] for run in runs), strict=True)]
        print(f"{way:<28}" + "".join(f"{value:>8.3f}" for value in means))


if __name__ == "__main__":
    main()
