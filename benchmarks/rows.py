"""How fast the rows of a table are trained on, beside the classic loop: a Dataset, a DataLoader, Adam.

    python -m benchmarks.rows [--rows 20000] [--columns 8] [--epochs 2] [--batch-size 64] [--rounds 5] [--json]

Both sides train the same network (columns-64-64-1, ReLU) from the same weights on the same standardised rows, in turns,
one thread, seconds of the processor. The classic Dataset makes a tensor of each row that it is asked for, as
introductions write it; the other one (`TensorDataset`) has them already. Both loops add up losses with `.item()`.
"""

import argparse
import itertools
import json
from statistics import median
from time import process_time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from netwright.config.recipe import Recipe, build_recipe
from netwright.data.labelled import LabelledData, RowImages
from netwright.data.prepare import PreparedData, prepare
from netwright.runtime.machine import Machine, applied, choose_machine
from netwright.training.fit import fit
from netwright.workflows.build import build_plan, build_state, build_task, resolve
from netwright.workflows.own import Own


class Nobody:
    """Nobody watches."""

    def step(self, done: int, total: int, num_samples: int) -> None: ...

    def epoch(self, record: dict[str, object], model: nn.Module) -> None: ...

    def stop_requested(self) -> bool:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 20_000), ("columns", 8), ("epochs", 2), ("batch-size", 64), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    recipe = build_recipe(
        {
            "data": {"source": "<rows>", "target": "y", "task": "regression"},
            "split": {"val": 0.0, "test": 0.0},
            "model": {"name": "mlp", "hidden_sizes": [64, 64]},
            "optimizer": {"name": "adam", "lr": 0.001},
            "training": {"epochs": given.epochs, "batch_size": given.batch_size},
            "runtime": {"threads": 1, "device": "cpu", "precision": "fp32", "trial": False},
        }
    )
    machine = choose_machine(recipe.runtime)
    prepared = made_up(given.rows, given.columns, recipe)
    with applied(machine):
        rounds = [
            (
                ours(recipe, prepared, machine),
                classic(prepared, given, OneByOne),
                classic(prepared, given, TensorDataset),
            )
            for _ in range(given.rounds)
        ]
    per_row = 1e6 / (given.rows * given.epochs)
    mine, one_by_one, tensors = (median(side) * per_row for side in zip(*rounds, strict=True))
    ratios = [median(each[side] / each[0] for each in rounds) for side in (1, 2)]
    found = {
        "ours_us": round(mine, 3),
        "one_by_one_us": round(one_by_one, 3),
        "tensor_dataset_us": round(tensors, 3),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "rounds": len(rounds),
    }
    if given.json:
        print(json.dumps(found))
        return
    print(f"µs of the processor a row, {given.rows:,} rows of {given.columns} columns, batches of {given.batch_size}")
    print(f"  ours                             {mine:7.2f}")
    print(f"  Dataset, a tensor a row          {one_by_one:7.2f}   {ratios[0]:.1f} ×")
    print(f"  TensorDataset                    {tensors:7.2f}   {ratios[1]:.1f} ×")


def made_up(num_rows: int, num_columns: int, recipe: Recipe) -> PreparedData:
    """Return prepared rows of numbers whose target is a smooth function of them."""
    random = np.random.default_rng(0)
    values = {f"c{place}": random.normal(size=num_rows) for place in range(num_columns)}
    targets = np.sin(values["c0"]) + values["c1"] * values["c2"]
    images = RowImages(values, dict.fromkeys(values, "number"))
    names = [f"row {row}" for row in range(num_rows)]
    rows = np.arange(num_rows)
    labelled = LabelledData("rows", (), images, targets, names, {"all": rows}, task="regression")
    return prepare(labelled, {"train": rows}, recipe)


def ours(recipe: Recipe, prepared: PreparedData, machine: Machine) -> float:
    """Return the seconds of a training by `training.fit`."""
    recipe = resolve(recipe, prepared, machine)
    task = build_task(recipe, prepared)
    plan = build_plan(None, recipe, prepared, task, machine, Own())
    state = build_state(recipe, prepared, task, machine, Own())
    start = process_time()
    fit(state, plan, Nobody())
    return process_time() - start


class OneByOne(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Rows and targets as arrays, a tensor made of each that is asked for."""

    def __init__(self, features: torch.Tensor, targets: torch.Tensor) -> None:
        self.features, self.targets = features.numpy(), targets.numpy()

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            torch.tensor(self.features[row], dtype=torch.float32),
            torch.tensor(self.targets[row], dtype=torch.float32),
        )


def classic(prepared: PreparedData, given: argparse.Namespace, dataset: type) -> float:
    """Return the seconds of the same training as introductions write it."""
    features = prepared.store.pixels[:, 0, 0]
    targets = prepared.store.targets[:, None]
    targets = (targets - targets.mean()) / targets.std()
    sizes = (given.columns, 64, 64)
    layers = [layer for before, after in itertools.pairwise(sizes) for layer in (nn.Linear(before, after), nn.ReLU())]
    network = nn.Sequential(*layers, nn.Linear(64, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    criterion = nn.MSELoss()
    loader = DataLoader(dataset(features, targets), batch_size=given.batch_size, shuffle=True)
    start = process_time()
    for _ in range(given.epochs):
        total = 0.0
        for rows, wanted in loader:
            optimizer.zero_grad()
            loss = criterion(network(rows), wanted)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
    return process_time() - start


if __name__ == "__main__":
    main()
