"""What a checkpoint costs the training: `python benchmarks/checkpoints.py [--saves N] [--threads N] [--folder DIR]`.

For an MLP (784-200-10), the cifar10-cnn and a state of 200 MB, each with Adam and best weights, real steps run for as
long as a save takes. Foreground: the loop waits for the write. Background: it waits for the copy; `slower` is what the
steps beside the write took more than the same number alone. The two sides and plain steps alternate; medians.
Aim: under 1 % of the time with a checkpoint every 300 s, and where epochs end more often: there the next one waits for
200 times its cost by the saver's own count, `wait`."""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from netwright.config.recipe import Recipe
from netwright.training.checkpoint import write_checkpoint
from netwright.training.clock import COST_FRACTION, EPOCH_END_SECONDS
from netwright.training.saver import Saver
from netwright.training.snapshot import state_bytes, take_snapshot
from netwright.training.state import Sums, TrainingState

EVERY_SECONDS = 300.0


def cnn() -> nn.Module:
    """The cifar10-cnn's layers."""
    layers: list[nn.Module] = []
    for inside, outside in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 10)).to(memory_format=torch.channels_last)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10)), (32, 1, 28, 28)),
    "cnn": (cnn, (128, 3, 32, 32)),
    "200 MB": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(2048, 4096), nn.ReLU(), nn.Linear(4096, 1000)),
        (64, 2048, 1, 1),
    ),
}


def build(name: str) -> tuple[TrainingState, Callable[[], None]]:
    """Return a state and a function that runs one training step of it."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    model = make()
    state = TrainingState(model, torch.optim.Adam(model.parameters(), fused=True), Sums(lambda *_: torch.tensor(0)))
    images, targets = torch.randn(shape), torch.arange(shape[0]) % 10

    def step() -> None:
        nn.functional.cross_entropy(model(images), targets).backward()
        state.optimizer.step()
        state.optimizer.zero_grad()

    step()
    state.keep_best()
    return state, step


def timed(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def measure(name: str, folder: Path, saves: int) -> dict[str, float]:
    """Return medians in seconds: the foreground's write, the background's copy, what steps beside it took more.

    `wait` is how long after it the next one at the end of an epoch may come."""
    state, step = build(name)
    saver, recipe = Saver(folder), Recipe()
    found: dict[str, list[float]] = {"foreground": [], "copy": [], "slower": [], "wait": []}
    for _ in range(saves + 1):  # the first one makes the buffers and the files
        found["foreground"].append(timed(lambda: write_checkpoint(folder, take_snapshot(state, recipe, {}))))
        found["copy"].append(timed(lambda: saver.save(state, recipe)))
        start, beside = perf_counter(), 0
        while saver.busy:
            step()
            beside += 1
        with_save = perf_counter() - start
        saver.wait()
        found["wait"].append(max(EPOCH_END_SECONDS, saver.seconds / COST_FRACTION))
        alone = timed(lambda count=beside: [step() for _ in range(count)])  # type: ignore[misc]
        found["slower"].append(max(0.0, with_save - alone))
    medians = {side: statistics.median(times[1:]) for side, times in found.items()}
    return medians | {"megabytes": state_bytes(take_snapshot(state, recipe, {})) / 1e6}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saves", type=int, default=10, help="saves a side [10]")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--folder", type=Path, help="where to write: the disk that is measured [a temporary folder]")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print("state        MB  foreground      copy    slower  background / foreground  of 300 s     wait  of it")
    for name in NETWORKS:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            one = measure(name, Path(folder), given.saves)
        stall = one["copy"] + one["slower"]
        print(
            f"{name:8} {one['megabytes']:6.1f} {1e3 * one['foreground']:8.1f} ms {1e3 * one['copy']:6.1f} ms "
            f"{1e3 * one['slower']:6.1f} ms {stall / one['foreground']:24.3f} {stall / EVERY_SECONDS:9.4%} "
            f"{one['wait']:6.0f} s {stall / one['wait']:6.2%}"
        )
