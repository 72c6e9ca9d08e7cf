"""Data sets given as objects: what their items say counts, and classes mean the same in all splits."""

from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Dataset
from torchvision.datasets import ImageFolder

from netwright.config.sections import Data
from netwright.data.sources import open_data
from netwright.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)


class Pictures(Dataset):  # type: ignore[type-arg]
    """Pictures of classes index % 4, with attributes and items as one likes."""

    def __init__(self, remap: Any = None, **attributes: Any) -> None:
        self.remap, self.read = remap or (lambda index: index % 4), 0
        for name, value in attributes.items():
            setattr(self, name, value)

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        self.read += 1
        return Image.fromarray(X[index]), self.remap(index)


KEPT = [index % 4 for index in range(40)]


@pytest.mark.parametrize("attribute", ["targets", "labels", "y"])
def test_items_win_over_a_list_that_says_something_else(attribute: str) -> None:
    data = open_data(Data(), Pictures(lambda index: index % 4 // 2, **{attribute: KEPT}))
    assert data.targets.tolist() == [index % 4 // 2 for index in range(40)]
    assert data.class_names == ("0", "1")


@pytest.mark.parametrize(
    "attributes",
    [
        {"samples": [("path", "number") for _ in range(40)]},
        {"samples": [0] * 40},
        {"targets": [f"class {index}" for index in range(40)]},
        {"y": 3},
        {"labels": object()},
        {"targets": [[0]] * 39 + [[0, 1]]},
    ],
)
def test_attributes_that_are_no_targets_are_passed_over(attributes: dict[str, Any]) -> None:
    assert open_data(Data(), Pictures(**attributes)).targets.tolist() == KEPT


def test_a_list_that_agrees_saves_reading_every_item() -> None:
    dataset, plain = Pictures(targets=KEPT), Pictures()
    assert open_data(Data(), dataset).targets.tolist() == open_data(Data(), plain).targets.tolist() == KEPT
    assert dataset.read < plain.read


@pytest.mark.parametrize("attributes", [{}, {"targets": KEPT}])
@pytest.mark.parametrize(
    ("remap", "message"),
    [
        (lambda index: {}[index], r"item \d+ of .*KeyError"),
        (lambda index: np.eye(4)[index % 4], "argmax"),
        (lambda index: "cat", "text as targets"),
        (lambda index: [0] * (index % 3), "targets of different shapes"),
    ],
)
def test_items_that_fail_are_named(attributes: dict[str, Any], remap: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_data(Data(), Pictures(remap, **attributes))


def test_splits_whose_classes_differ_are_refused(tmp_path: Any) -> None:
    for split, names in (("train", ["ant", "bee", "cow"]), ("val", ["ant", "cow"])):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                Image.fromarray(X[number]).save(tmp_path / split / name / f"{number}.png")
    train, val = ImageFolder(str(tmp_path / "train")), ImageFolder(str(tmp_path / "val"))
    with pytest.raises(DataError, match=r"classes of train are ant, bee, cow and those of val ant, cow"):
        open_data(Data(), {"train": train, "val": val})
    assert open_data(Data(), {"train": train, "val": train}).class_names == ("ant", "bee", "cow")
