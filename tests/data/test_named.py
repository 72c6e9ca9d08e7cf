import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_digits

from netwright.config.recipe import build_recipe
from netwright.config.sections import Data
from netwright.data import named
from netwright.data.labelled import ArrayImages, FileImages, ItemImages
from netwright.data.prepare import prepare
from netwright.data.sources import open_data
from netwright.errors import DataError, MachineError


def pixels_of(data: named.LabelledData) -> np.ndarray:
    assert isinstance(data.images, ArrayImages)
    return data.images.pixels


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_family(raw: Path, stems: dict[str, str], targets: np.ndarray, ending: str) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (len(targets), 28, 28))
    for stem in stems.values():
        write_idx(raw / f"{stem}-images-idx3-ubyte{ending}", images)
        write_idx(raw / f"{stem}-labels-idx1-ubyte{ending}", targets)
    return images


def test_digits_are_scikit_learns() -> None:
    data, bunch = open_data(Data()), load_digits()
    assert pixels_of(data).shape == (1797, 8, 8, 1)
    assert pixels_of(data).max() == 255
    assert np.abs(pixels_of(data)[..., 0] * (16 / 255) - bunch.images).max() < 16 / 255
    assert np.array_equal(data.targets, bunch.target)


def test_mnist_from_packed_files_only(data_dir: Path, mnist_arrays: dict[str, np.ndarray]) -> None:
    data = open_data(Data(source="mnist", root=str(data_dir)))
    assert np.array_equal(pixels_of(data)[data.given["train"]][..., 0], mnist_arrays["x_train"])
    assert np.array_equal(pixels_of(data)[data.given["test"]][..., 0], mnist_arrays["x_test"])
    assert np.array_equal(data.targets, np.concatenate([mnist_arrays["y_train"], mnist_arrays["y_test"]]))
    assert data.class_names == tuple("0123456789")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_the_mnist_family_is_read_as_torchvision_does(tmp_path: Path, ending: str) -> None:
    targets = np.arange(30) % 10
    for name, folder in (("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")):
        images = write_family(tmp_path / folder / "raw", {"train": "train", "test": "t10k"}, targets, ending)
        data = open_data(Data(source=name, root=str(tmp_path)))
        assert np.array_equal(pixels_of(data)[:30, ..., 0], images)
        assert data.class_names == tuple(getattr(torchvision.datasets, folder).classes)


@pytest.mark.parametrize(
    ("name", "folder", "found"),
    [
        ("fashion-mnist", "FashionMNIST", True),
        ("fashion-mnist", "fashion_mnist", True),
        ("fashion-mnist", "MNIST", False),
        ("fashion-mnist", "data", False),
        ("kmnist", "FashionMNIST", False),
        ("mnist", "data", True),
        ("mnist", "MNIST", True),
        ("mnist", "FashionMNIST", False),
        ("mnist", "kmnist", False),
    ],
)
def test_files_without_a_familys_name_are_not_taken_for_another_familys(
    tmp_path: Path, name: str, folder: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names are the same in all of them: the folder tells."""
    monkeypatch.setattr(named, "_download", lambda *_: (_ for _ in ()).throw(MachineError("no network")))
    root = tmp_path / folder
    write_family(root / "raw", {"train": "train", "test": "t10k"}, np.arange(30) % 10, "")
    for place in (root, root / "raw"):
        if found:
            assert len(open_data(Data(source=name, root=str(place)))) == 60
        else:
            with pytest.raises(MachineError):
                open_data(Data(source=name, root=str(place)))


def test_emnist_letters_are_upright_and_start_at_a(tmp_path: Path) -> None:
    targets = np.arange(52) % 26 + 1
    stems = {split: f"emnist-letters-{split}" for split in ("train", "test")}
    images = write_family(tmp_path / "EMNIST" / "raw", stems, targets, "")
    data = open_data(Data(source="emnist-letters", root=str(tmp_path)))
    theirs = torchvision.datasets.EMNIST(str(tmp_path), split="letters", train=True)
    assert np.array_equal(pixels_of(data)[:52, ..., 0], images.swapaxes(1, 2))
    assert [theirs.classes[target] for target in theirs.targets] == [
        data.class_names[target] for target in data.targets[:52]
    ]
    assert data.class_names[0] == "a"


def test_root_is_read_and_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "_download", lambda *_: (_ for _ in ()).throw(MachineError("no network")))
    for name in ("caltech101", "caltech256", "eurosat", "cifar10", "svhn", "usps", "food101", "mnist", "emnist-digits"):
        with pytest.raises(MachineError):
            open_data(Data(source=name, root=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_an_npz_in_root_comes_first(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    targets = np.arange(20) % 10
    np.savez(tmp_path / "cifar10.npz", x_train=pixels, y_train=targets, x_test=pixels, y_test=targets)
    data = open_data(Data(source="cifar10", root=str(tmp_path)))
    assert data.name == "cifar10"
    assert np.array_equal(pixels_of(data)[:20], pixels)


def test_unreachable_download_says_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        print("Downloading from far away")
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", fail)
    with pytest.raises(MachineError, match=r"Network is unreachable.*data.root.*cifar10\.npz") as caught:
        open_data(Data(source="cifar10", root=str(tmp_path)))
    assert caught.value.exit_code == 4
    assert capfd.readouterr() == ("", "")


def test_download_goes_to_our_cache_and_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def download(self: torchvision.datasets.FashionMNIST) -> None:
        calls.append(self.raw_folder)
        write_family(Path(self.raw_folder), {"train": "train", "test": "t10k"}, np.arange(20) % 10, "")

    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "download", download)
    monkeypatch.setattr(named, "cache_folder", lambda: tmp_path)
    first = open_data(Data(source="fashion-mnist"))
    count = len(calls)
    again = open_data(Data(source="fashion-mnist"))
    assert count > 0
    assert len(calls) == count
    assert np.array_equal(pixels_of(first), pixels_of(again))
    assert os.listdir(tmp_path / "datasets") == ["FashionMNIST"]


def test_channels_first_arrays_and_sets_of_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Svhn:
        def __init__(self, *_: object, **__: object) -> None:
            self.data = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
            self.labels = np.arange(20) % 10

    class Flowers:
        classes = ("rose", "tulip")
        _labels = (0, 1, 0, 1)

        def __init__(self, *_: object, **__: object) -> None: ...

        def __len__(self) -> int:
            return 4

    monkeypatch.setattr(torchvision.datasets, "SVHN", Svhn)
    monkeypatch.setattr(torchvision.datasets, "Flowers102", Flowers)
    data = open_data(Data(source="svhn", root=str(tmp_path)))
    assert np.array_equal(pixels_of(data)[0], Svhn().data[0].transpose(1, 2, 0))
    flowers = open_data(Data(source="flowers102", root=str(tmp_path)))
    assert isinstance(flowers.images, ItemImages)
    assert flowers.class_names == ("rose", "tulip")
    assert list(flowers.given) == ["train", "val", "test"]


def test_sets_of_files_are_read_by_our_decoder_and_give_what_torchvision_gives(tmp_path: Path) -> None:
    """Food101 as it lies on disk after its download, with its splits named in another order than ours."""
    random = np.random.default_rng(0)
    listed: dict[str, dict[str, list[str]]] = {"train": {}, "test": {}}
    (tmp_path / "food-101" / "meta").mkdir(parents=True)
    for label in ("apple_pie", "waffles"):
        (tmp_path / "food-101" / "images" / label).mkdir(parents=True)
        for number in range(6):
            name = f"{label}/{random.integers(10**6)}"
            listed["train" if number % 3 else "test"].setdefault(label, []).append(name)
            coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((20, 16))
            coarse.save(tmp_path / "food-101" / "images" / f"{name}.jpg")
    for split, names in listed.items():
        (tmp_path / "food-101" / "meta" / f"{split}.json").write_text(json.dumps(names))
    labelled = open_data(Data(source="food101", root=str(tmp_path)))
    assert isinstance(labelled.images, FileImages)
    prepared = prepare(labelled, labelled.given, build_recipe({}))
    assert prepared.transform.store_size == (16, 20)
    for split, rows in labelled.given.items():
        theirs = torchvision.datasets.Food101(str(tmp_path), split=split)
        pixels = prepared.store.gather(torch.from_numpy(rows)).numpy()
        assert np.array_equal(pixels, np.stack([np.asarray(image) for image, _ in theirs]))
        assert labelled.targets[rows].tolist() == [target for _, target in theirs]
        assert [labelled.class_names[target] for target in labelled.targets[rows]] == [
            theirs.classes[target] for _, target in theirs
        ]


def test_damaged_idx_and_a_root_that_is_none(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_family(raw, {"train": "train", "test": "t10k"}, np.arange(20) % 10, ".gz")
    whole = (raw / "t10k-images-idx3-ubyte.gz").read_bytes()
    for damaged in (b"", whole[:100], gzip.compress(b"\0\0\x08\x03" + b"\0" * 30)):
        (raw / "t10k-images-idx3-ubyte.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is damaged"):
            open_data(Data(source="mnist", root=str(tmp_path)))
    shutil.rmtree(tmp_path / "MNIST")
    with pytest.raises(DataError, match="not a folder"):
        open_data(Data(source="mnist", root=str(tmp_path / "nowhere")))
    assert torch.get_num_threads() <= 2
