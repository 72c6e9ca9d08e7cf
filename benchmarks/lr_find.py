"""Is the lr that `netwright lr-find` suggests any good? Trainings with it beside the optimizer's default.

    python benchmarks/lr_find.py [--data-root DIR] [--cifar10 FILE.npz] [--seeds 2]

Every rule's suggestion and the default train the same seeds for the same few epochs; printed are mean val loss and
accuracy of the last epoch. Nothing is tuned, and no test split is looked at.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import netwright as nw

Case = tuple[str, Any, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="where MNIST/ lies; without it MNIST is left out")
    parser.add_argument("--cifar10", type=Path, help="an .npz of CIFAR-10; without it it is left out")
    parser.add_argument("--images", type=int, default=6000, help="of CIFAR-10 and MNIST")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    for name, data, settings in cases(given):
        for optimizer in ("adam", "sgd"):
            compare(f"{name}, {optimizer}", data, settings | {"optimizer": optimizer}, given)


def cases(given: argparse.Namespace) -> Iterator[Case]:
    yield "digits cnn", "digits", {}
    if given.data_root is not None:
        from netwright.config.recipe import build_recipe
        from netwright.data.sources import open_data

        data = build_recipe({"data": {"source": "mnist", "root": str(given.data_root)}}).data
        labelled = open_data(data)
        rows = np.arange(given.images)
        images = np.stack([np.asarray(labelled.images.pixels[row]) for row in rows])
        yield "mnist mlp", (images, labelled.targets[rows]), {"model": "mlp"}
    if given.cifar10 is not None:
        with np.load(given.cifar10) as arrays:
            images, targets = arrays["x_train"][: given.images], arrays["y_train"][: given.images]
        yield "cifar10 cnn", (images, targets), {}


def compare(name: str, data: Any, settings: dict[str, Any], given: argparse.Namespace) -> None:
    settings = settings | {"threads": given.threads, "quiet": True}
    found = nw.find_lr(data, **settings)
    lrs = {"default": found["lr"], **found["suggestions"]}
    print(f"\n{name}")
    for rule, lr in lrs.items():
        losses, accuracies = [], []
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    run = nw.train(data, out=Path(folder) / "run", lr=lr, epochs=given.epochs, seed=seed, **settings)
                except nw.WorkFailed:
                    losses.append(float("nan"))
                    accuracies.append(0.0)
                    continue
                losses.append(run.history[-1]["val_loss"])
                accuracies.append(run.history[-1]["val_accuracy"])
        loss, accuracy = statistics.mean(losses), statistics.mean(accuracies)
        print(f"  {rule:9} lr {lr:<9.2g} val loss {loss:6.3f}  val accuracy {accuracy:6.1%}", flush=True)


if __name__ == "__main__":
    main()
