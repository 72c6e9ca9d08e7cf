"""The recipes that ship: each says what it shows, makes sense, builds its network and is documented."""

from pathlib import Path

import pytest
import torch

from netwright.config.library import read_recipe_file, shipped_recipes
from netwright.config.models import gives_masks
from netwright.config.recipe import Recipe, build_recipe, num_outputs_for, output_for
from netwright.models import build_model

DOCUMENT = Path(__file__).parents[2] / "docs" / "recipes.md"
CLASSIC = {
    *("digits", "mnist-mlp", "mnist-logsoftmax", "mnist-fast", "mnist-cnn", "mnist-cnn-deep", "mnist-batchnorm"),
    *("mnist-lenet-batchnorm", "fashion-mlp-dropout", "cifar10-mlp", "cifar10-cnn", "cifar10-fast"),
    *("airplane-bird", "airplane-bird-cnn", "alexnet", "cats-dogs-densenet", "finetune-resnet18"),
    *("resnet50-concat-pool", "letters-from-digits", "vgg16-checkpoint", "photos", "unet-masks"),
    *("ohlc-up-day", "ohlc-next-day", "csv-regression", "csv-binary"),
}
SHAPES = {"digits": (1, 8, 10), "mnist": (1, 28, 10), "fashion-mnist": (1, 28, 10), "cifar10": (3, 32, 10)}
SHAPES |= {"emnist-letters": (1, 28, 26), "oxford-pets": (3, 64, 37), "flowers102": (3, 64, 102)}  # smaller photographs
SHAPES |= {"prices.csv": (4, 1, 2), "rows.csv": (6, 1, 2)}  # rows of tables are images of one pixel
SHAPES |= {"membrane": (1, 64, 2)}  # images with masks
NAMES = sorted(shipped_recipes())


def recipe_of(name: str) -> Recipe:
    return build_recipe(read_recipe_file(shipped_recipes()[name]))


def test_the_classic_systems_are_there() -> None:
    assert set(NAMES) >= CLASSIC


@pytest.mark.parametrize("name", NAMES)
def test_recipe_says_what_it_shows(name: str) -> None:
    text = shipped_recipes()[name].read_text(encoding="utf-8")
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert text.startswith("# ")
    assert "Shows" in " ".join(comment)
    assert max(map(len, text.splitlines())) <= 130


@pytest.mark.parametrize("name", NAMES)
def test_recipe_survives_being_saved(name: str) -> None:
    recipe = recipe_of(name)
    assert build_recipe(recipe.to_mapping()) == recipe


@pytest.mark.parametrize("name", NAMES)
def test_recipe_builds_its_network(name: str) -> None:
    recipe = recipe_of(name)
    channels, own_size, num_classes = SHAPES[recipe.data.source]
    size = recipe.data.image_size or own_size
    assert isinstance(size, int)
    num_outputs = num_outputs_for(recipe.criterion, len(recipe.data.classes or range(num_classes)))
    num_outputs = 1 if recipe.data.task == "regression" else num_outputs
    model = build_model(
        recipe.model,
        in_channels=channels,
        image_size=(size, size),
        num_outputs=num_outputs,
        output=output_for(recipe.criterion),
    )
    expected = (2, num_outputs, size, size) if gives_masks(recipe.model) else (2, num_outputs)
    assert model.eval()(torch.zeros(2, channels, size, size)).shape == expected


@pytest.mark.parametrize("name", NAMES)
def test_recipe_is_documented(name: str) -> None:
    assert f"`netwright train {name}" in DOCUMENT.read_text(encoding="utf-8")


def test_the_published_networks_have_the_published_sizes() -> None:
    """The number of parameters, counted by hand from the descriptions of the systems."""
    expected = {
        "mnist-mlp": 784 * 200 + 200 + 200 * 10 + 10,
        "mnist-logsoftmax": 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10,
        "mnist-cnn": 5 * 9 + 5 + 10 * 5 * 9 + 10 + 10 * 14 * 14 * 10 + 10,
        "cifar10-mlp": 3072 * 500 + 500 + 500 * 10 + 10,
        "cifar10-cnn": 32 * 27 + 32 + 64 * 32 * 9 + 64 + 128 * 64 * 9 + 128 + 2048 * 10 + 10,
        "airplane-bird": 3072 * 1024 + 1024 + 1024 * 512 + 512 + 512 * 128 + 128 + 128 * 2 + 2,
    }
    for name, count in expected.items():
        recipe = recipe_of(name)
        channels, size, num_classes = SHAPES[recipe.data.source]
        model = build_model(
            recipe.model,
            in_channels=channels,
            image_size=(size, size),
            num_outputs=len(recipe.data.classes or range(num_classes)),
            output=output_for(recipe.criterion),
        )
        assert sum(parameter.numel() for parameter in model.parameters()) == count, name
