"""Every recipe that ships, trained for real at a small size: the same network and settings, few images, one epoch."""

from pathlib import Path

import numpy as np
import pytest

from netwright.config.library import read_recipe_file, shipped_recipes
from netwright.errors import DataError
from netwright.workflows.console import Console
from netwright.workflows.plan import plan_recipe
from netwright.workflows.train import train_recipe

CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PHOTOGRAPH = (40, 40, 3)
SHAPES = {"digits": (8, 8), "mnist": (28, 28), "fashion-mnist": (28, 28), "cifar10": (32, 32, 3)}
SHAPES |= {"emnist-letters": (28, 28), "oxford-pets": PHOTOGRAPH, "flowers102": PHOTOGRAPH}
LARGE = ("vgg16-checkpoint",)  # writes 1.7 GB, whatever the images
OF_ROWS = {"ohlc-up-day": None, "ohlc-next-day": None, "csv-regression": "price", "csv-binary": "won"}
A_CLASS = 8
EPOCHS = 1


def write_stand_in(path: Path, shape: tuple[int, ...], a_class: int) -> Path:
    """Ten classes of noisy patterns in the shape of the real data set, in Keras' layout."""
    draws = np.random.default_rng(0)
    patterns = draws.integers(0, 256, (10, *shape))
    arrays = {}
    for split in ("train", "test"):
        targets = np.repeat(np.arange(10), a_class)
        noisy = patterns[targets] + draws.normal(0, 20, (len(targets), *shape))
        arrays |= {f"x_{split}": noisy.clip(0, 255).astype(np.uint8), f"y_{split}": targets}
    np.savez(path, **arrays, classes=np.array(CIFAR10_CLASSES))
    return path


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE))
        for name in sorted(shipped_recipes())
        if name not in (*OF_ROWS, "unet-masks")  # that one: tests/workflows/test_masks.py
    ],
)
def test_recipe_trains(name: str, tmp_path: Path) -> None:
    source = read_recipe_file(shipped_recipes()[name])["data"]["source"]
    photographs = SHAPES[source] == PHOTOGRAPH  # small ones, few, and without published weights: none are fetched here
    a_class = 3 if photographs else A_CLASS
    stand_in = write_stand_in(tmp_path / "stand-in.npz", SHAPES[source], a_class)
    settings: list[tuple[str, object]] = [
        ("data.source", str(stand_in)),
        ("training.epochs", EPOCHS),
        ("training.batch_size", 16),
    ]
    if photographs:
        settings += [("data.image_size", 32), ("model.weights", "none")]
    recipe = plan_recipe(name, [*settings, ("runtime.threads", 1), ("runtime.device", "cpu")])
    run = train_recipe(recipe, out=tmp_path / "run", test=True, console=Console(quiet=True))
    assert len(run.history) == EPOCHS
    assert np.isfinite(run.history[-1]["train_loss"])
    num_classes = len(recipe.data.classes or CIFAR10_CLASSES)
    assert run.metrics["test"]["num_samples"] == num_classes * a_class
    (prediction,) = run.predict(np.load(stand_in)["x_test"][:1])
    assert prediction["label"] in (recipe.data.classes or CIFAR10_CLASSES)


@pytest.mark.parametrize("name", OF_ROWS)
def test_recipe_of_rows_trains(name: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    prices = 100 + np.cumsum(random.normal(0, 1, (120, 1)), axis=0) + random.normal(0, 1, (120, 4))
    lines = ["date,open,high,low,close,price,won"]
    for day, row in enumerate(prices):
        cells = ",".join(f"{value:.2f}" for value in row)
        lines.append(f"2020-{1 + day // 28:02}-{1 + day % 28:02},{cells},{row.sum():.2f},{'yn'[int(row[0] > row[2])]}")
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(lines))
    settings: list[tuple[str, object]] = [("data.source", str(table)), ("training.epochs", EPOCHS)]
    settings += [("data.target", OF_ROWS[name])] if OF_ROWS[name] else []
    recipe = plan_recipe(name, [*settings, ("runtime.threads", 1), ("runtime.device", "cpu")])
    run = train_recipe(recipe, out=tmp_path / "run", test=True, console=Console(quiet=True))
    assert np.isfinite(run.history[-1]["train_loss"])
    assert run.metrics["test"]["num_samples"] > 10
    assert len(run.predict(table)) == 120


@pytest.mark.parametrize(
    ("name", "where"), [*((name, "FILE") for name in OF_ROWS), ("unet-masks", "IMAGES --masks MASKS")]
)
def test_a_recipe_for_data_of_the_users_says_so(
    name: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as told:
        plan_recipe(name, [])
    assert str(told.value).endswith(f"netwright train {name} --set data.source={where}")
