from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from netwright.config.sections import Data
from netwright.data.labelled import ArrayImages, ItemImages
from netwright.data.sources import open_data
from netwright.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
Y = np.arange(12) % 3


def saved(path: Path, **arrays: Any) -> Data:
    np.savez(path / "some.npz", **arrays)
    return Data(source=str(path / "some.npz"))


def test_keras_keys_and_class_names(tmp_path: Path) -> None:
    data = open_data(
        saved(tmp_path, x_train=X, y_train=Y[:, None], x_test=X[:3], y_test=Y[:3], classes=["a", "b", "c"], extra=1)
    )
    assert data.class_names == ("a", "b", "c")
    assert {name: len(rows) for name, rows in data.given.items()} == {"train": 12, "test": 3}
    assert isinstance(data.images, ArrayImages)
    assert np.array_equal(data.images.pixels, np.concatenate([X, X[:3]]))
    assert data.targets.tolist() == [*Y, *Y[:3]]
    assert data.sample_names[12] == "test/0"
    assert data.notices == ("arrays that are not used: extra",)


def test_medmnist_keys_and_lone_sets(tmp_path: Path) -> None:
    gray = X[..., 0]
    parts = {f"{split}_images": gray for split in ("train", "val", "test")} | {
        f"{split}_labels": Y[:, None] for split in ("train", "val", "test")
    }
    data = open_data(saved(tmp_path, **parts))
    assert list(data.given) == ["train", "val", "test"]
    assert isinstance(data.images, ArrayImages)
    assert data.images.pixels.shape == (36, 6, 5, 1)
    for keys in (("x", "y"), ("images", "labels")):
        assert list(open_data(saved(tmp_path, **dict(zip(keys, (X, Y), strict=True)))).given) == ["all"]


def test_text_labels_are_sorted_classes(tmp_path: Path) -> None:
    data = open_data(saved(tmp_path, x=X, y=np.array(["dog", "cat", "emu"] * 4)))
    assert data.class_names == ("cat", "dog", "emu")
    assert data.targets[:3].tolist() == [1, 0, 2]


def test_floats_need_a_range_and_keep_their_dtype(tmp_path: Path) -> None:
    floats = (X / 255).astype(np.float64)
    source = saved(tmp_path, x=floats, y=Y)
    with pytest.raises(DataError, match=r"data.value_range: \[0, 1\]"):
        open_data(source)
    data = open_data(Data(source=source.source, value_range=(0, 1)))
    assert isinstance(data.images, ArrayImages)
    assert data.images.pixels.dtype == np.float64
    assert data.images.value_range == (0, 1)
    with pytest.raises(DataError, match=r"values from 0 to 255"):
        open_data(Data(source=saved(tmp_path, x=X.astype(np.int32), y=Y).source, value_range=(0, 1)))


def nan_at(image: int) -> np.ndarray:
    floats = (X / 255).astype(np.float32)
    floats[image, 0, 0] = np.nan
    return floats


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": nan_at(5), "y": Y}, "3 values that are NaN or infinite, first in image 5"),
        ({"x": X.transpose(0, 3, 1, 2), "y": Y}, "transpose"),
        ({"x": X[..., :2], "y": Y}, "1 or 3 channels"),
        ({"x": X.reshape(12, -1)[:, :64], "y": Y}, r"reshape\(-1, 8, 8\)"),
        ({"x": X[:0], "y": Y[:0]}, "is empty"),
        ({"x": X, "y": Y[:5]}, "5 labels for 12 images"),
        ({"x": X, "y": Y - 1}, "target -1, first in row 0"),
        ({"x": X, "y": Y + 0.5}, "dtype float64"),
        ({"x": X, "y": np.eye(3)[Y]}, "argmax"),
        ({"x": X, "y": Y * 0}, "one class only, '0'"),
        ({"x": X, "y": Y, "classes": ["a", "b"]}, "target 2 and 2 class names"),
        ({"x": X, "y": Y * 10**9}, "renumber"),
        ({"x": X, "y": np.array(["a", "b", "z"] * 4), "classes": ["a", "b"]}, "without a class: z"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :4], "y_test": Y}, "differ in shape"),
        ({"x_train": X, "y_train": Y % 2, "x_test": X, "y_test": Y}, "no training images: 2"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "no y_test"),
        ({"x_test": X, "y_test": Y}, "no train images"),
        ({"a": X}, "expected x_train"),
        ({"x": np.array([{}] * 12, dtype=object), "y": Y}, "Python objects"),
    ],
)
def test_arrays_that_can_not_be_used(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_data(saved(tmp_path, **arrays))


def test_damaged_npz(tmp_path: Path) -> None:
    path = Path(saved(tmp_path, x=X, y=Y).source)
    content = path.read_bytes()
    for damaged in (b"", b"hello", content[: len(content) // 2], content[:300] + b"\0" * 40 + content[340:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            open_data(Data(source=str(path)))


def test_classes_are_renumbered_in_the_order_named() -> None:
    data = open_data(Data(classes=("7", "2")))
    whole = open_data(Data())
    assert data.class_names == ("7", "2")
    assert np.bincount(data.targets).tolist() == [(whole.targets == 7).sum(), (whole.targets == 2).sum()]
    first = int(data.sample_names[0].split("/")[1])
    assert whole.targets[first] == (7, 2)[data.targets[0]]
    with pytest.raises(DataError, match=r'does not have .did you mean "airplane"'):
        open_data(Data(classes=("airplan", "bird")), {"train": TensorSet(["airplane", "bird"])})


class TensorSet(Dataset):  # type: ignore[type-arg]
    """Float tensors, with noise of its own."""

    def __init__(self, classes: list[str], noise: bool = False) -> None:
        self.classes, self.noise = classes, noise

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((3, 4, 4), float(index)) + (torch.rand(3, 4, 4) if self.noise else 0), index % 2


class PictureSet(Dataset):  # type: ignore[type-arg]
    """PIL pictures, flipped at random or not."""

    def __init__(self, flips: bool) -> None:
        self.flips = flips

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        pixels = X[index]
        return Image.fromarray(pixels[:, ::-1].copy() if self.flips and torch.rand(()) < 0.5 else pixels), index % 3


def test_given_arrays_tensors_and_lists_are_equal() -> None:
    arrays = open_data(Data(), (X, Y))
    tensors = open_data(Data(), (torch.from_numpy(X).permute(0, 3, 1, 2), torch.from_numpy(Y)))
    lists = open_data(Data(), ([torch.from_numpy(image).permute(2, 0, 1) for image in X], Y.tolist()))
    for other in (tensors, lists):
        assert isinstance(arrays.images, ArrayImages)
        assert isinstance(other.images, ArrayImages)
        assert np.array_equal(arrays.images.pixels, other.images.pixels)
        assert np.array_equal(arrays.targets, other.targets)


def test_given_splits_and_pictures_of_different_sizes() -> None:
    data = open_data(Data(), {"train": (X, Y), "val": (X[:3], Y[:3]), "test": None})
    assert list(data.given) == ["train", "val"]
    pictures = [Image.fromarray(X[0]), Image.fromarray(X[1]).resize((9, 9))]
    assert isinstance(open_data(Data(), (pictures, ["a", "b"])).images, ItemImages)


def test_kinds_of_given_data_sets() -> None:
    for dataset, kind in ((TensorSet(["a", "b"]), "ready"), (PictureSet(False), "fixed"), (PictureSet(True), "random")):
        images = open_data(Data(), dataset).images
        assert isinstance(images, ItemImages)
        assert images.kind == kind
    bytes_set = TensorDataset(torch.from_numpy(X).permute(0, 3, 1, 2), torch.from_numpy(Y))
    images = open_data(Data(), bytes_set).images
    assert isinstance(images, ItemImages)
    assert images.kind == "fixed"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X,), "expected"),
        ("hello", "expected"),
        ({"train": (X, Y), "tests": (X, Y)}, 'did you mean "test"'),
        ({"test": (X, Y)}, "no train"),
        ((torch.from_numpy(X), Y), "permute"),
        (DataLoader(TensorSet(["a", "b"])), "map-style"),
        ([1, 2, 3], "expected"),
        ({"train": (X, Y), "val": TensorSet(["a", "b"])}, "same kind"),
    ],
)
def test_given_objects_that_can_not_be_used(given: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_data(Data(), given)
