"""A run on a `Dataset` of one's own whose items are drawn anew in every epoch, by any number of processes."""

from pathlib import Path

import msgspec
import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

import netwright as nw
from benchmarks.reliability.jobs import without_plots
from netwright.runs.folder import RunFolder

SETTINGS = {
    "transform": {"normalize": [0.3, 0.2]},
    "model": {"name": "cnn", "channels": [4, 8], "batch_norm": True, "dropout": 0.2},
    "augmentation": [{"name": "horizontal_flip"}, {"name": "mixup"}],
    "training": {"epochs": 3, "batch_size": 10, "checkpoint_seconds": 0, "averaging": "ema", "patience": 2, "seed": 5},
}


class Squares(Dataset[tuple[Image.Image, int]]):
    """Squares of three sizes in noise that each reading draws anew."""

    classes = ("small", "middle", "large")

    def __len__(self) -> int:
        return 90

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        target = index % 3
        pixels = (torch.rand(8, 8) * 100).numpy().astype(np.uint8)
        pixels[1 : 3 + 2 * target, 1 : 3 + 2 * target] += 100
        return Image.fromarray(pixels), target


def train(run: str, workers: int) -> int:
    """Begin the run, or go on with it, with so many processes that read the data."""
    without_plots()
    folder = RunFolder(Path(run))
    if not folder.recipe.exists():
        runtime = {"device": "cpu", "threads": 1, "workers": workers}
        nw.train(Squares(), out=run, quiet=True, runtime=runtime, **SETTINGS)
        return 0
    recipe = folder.read_recipe()
    if recipe.runtime.workers != workers:
        folder.write_recipe(recipe.replace(runtime=msgspec.structs.replace(recipe.runtime, workers=workers)))
    nw.resume(run, data=Squares(), quiet=True)
    return 0


def evaluate(run: str) -> int:
    """Judge the run on val."""
    nw.load(run, data=Squares()).evaluate("val")
    return 0
