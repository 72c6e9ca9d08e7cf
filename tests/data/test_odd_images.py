"""Placeholders among photographs: pointed at, and used."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from netwright.config.recipe import build_recipe
from netwright.data.odd_images import is_flat
from netwright.data.prepare import PreparedData, prepare
from netwright.data.sources import open_data
from netwright.data.splits import split_rows

Make = Callable[..., Path]


def placeholder() -> Image.Image:
    image = Image.new("RGB", (60, 50), "white")
    ImageDraw.Draw(image).text((5, 20), "not found", fill="gray")
    return image


def prepared_of(root: Path, **sections: object) -> PreparedData:
    recipe = build_recipe({"data": {"source": str(root), "image_size": 32}, **sections})
    labelled = open_data(recipe.data)
    return prepare(labelled, split_rows(labelled, recipe.split), recipe)


@pytest.mark.parametrize("augmentation", [[], ["random_resized_crop"]])
def test_a_placeholder_among_others_is_said_and_used(make_folder: Make, augmentation: list[str]) -> None:
    root = make_folder({"cat": 15, "dog": 15}, size=(50, 60))
    placeholder().save(root / "cat" / "missing.gif")
    for _ in range(2):  # decoded, then read from the cache
        prepared = prepared_of(root, augmentation=augmentation)
        assert "1 image is nearly of one colour, unlike the others; placeholders? cat/missing.gif" in (
            prepared.labelled.notices
        )
        assert "1 of 31 files is GIF, unlike the others: cat/missing.gif" in prepared.labelled.notices
        assert sum(map(len, prepared.rows.values())) == 31


def test_many_of_a_kind_are_none(make_folder: Make) -> None:
    root = make_folder({"cat": 15, "dog": 15}, size=(50, 60))
    for number in range(3):
        placeholder().rotate(90 * number).save(root / "cat" / f"missing{number}.gif")
    assert prepared_of(root).labelled.notices == ()


def test_few_images_have_no_usual_kind(make_folder: Make) -> None:
    root = make_folder({"cat": 5, "dog": 5}, size=(50, 60))
    placeholder().save(root / "cat" / "missing.gif")
    assert prepared_of(root).labelled.notices == ()


def test_photographs_are_not_flat(data_dir: Path) -> None:
    paths = sorted((data_dir / "hymenoptera").rglob("*.jpg"))[::20]
    assert not [path for path in paths if is_flat(np.asarray(Image.open(path).convert("RGB")))]
    assert is_flat(np.asarray(Image.open(data_dir / "hymenoptera/train/ants/imageNotFound.gif").convert("RGB")))


def test_pictures_of_any_size_can_be_asked() -> None:
    assert is_flat(np.zeros((100, 3, 1), np.uint8))
    assert not is_flat(np.zeros((1, 1, 3), np.uint8))  # one pixel says nothing
