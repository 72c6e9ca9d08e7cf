from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netwright.config.sections import Data, Split
from netwright.data.given import open_given
from netwright.data.labelled import LabelledData
from netwright.data.leaks import twins as twins_module
from netwright.data.leaks.gate import pass_gate, said
from netwright.data.leaks.twins import find_twins
from netwright.data.sources import open_data
from netwright.errors import DataError, RecipeError
from netwright.files.folders import cache_folder


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures (count, 32, 32, 3), no two alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(part).resize((32, 32), Image.Resampling.BICUBIC)) for part in coarse])


def given_with_leaks(num_equal: int = 3) -> LabelledData:
    train, test = pictures(60), pictures(20, seed=1)
    test[:num_equal] = train[:num_equal]
    test[10] = train[10][:, ::-1]  # a mirror image
    labels = {"train": np.arange(60) % 2, "test": np.arange(20) % 2}
    return open_given({"train": (train, labels["train"]), "test": (test, labels["test"])}, None)


def test_equal_images_in_given_splits_are_refused_with_the_list() -> None:
    with pytest.raises(DataError, match="3 images of test are in train too") as caught:
        pass_gate(given_with_leaks(), Split(), Data(), published=False)
    assert "test/0 = train/0" in str(caught.value)
    assert "--allow-leaks" in str(caught.value)


def test_allowed_leaks_are_counted_and_said() -> None:
    gated = pass_gate(given_with_leaks(), Split(), Data(allow_leaks=True), published=False)
    assert gated.leaks["allowed"] == 3
    assert gated.leaks["across"][0] | {"listed": []} == {
        "splits": ["test", "train"],
        "exact": 3,
        "near": 1,
        "listed": [],
    }
    assert gated.leaks["test_with_twin"] == [60, 61, 62, 70]
    assert any("leaks were allowed" in line for line in said(gated.leaks))


def test_published_splits_are_kept_and_near_twins_do_not_refuse() -> None:
    gated = pass_gate(given_with_leaks(), Split(), Data(), published=True)
    assert len(gated.rows["test"]) == 20
    assert gated.leaks["allowed"] == 0
    near_only = pass_gate(given_with_leaks(0), Split(), Data(), published=False)
    assert near_only.leaks["test_with_twin"] == [70]
    assert "1 test images have a twin in train (0 equal, 1 near" in said(near_only.leaks)[0]


@pytest.mark.parametrize("seed", range(4))
def test_own_splits_keep_twins_and_groups_together(seed: int) -> None:
    images = pictures(80)
    images = np.concatenate([images, images[:20], images[20:30, :, ::-1]])  # 20 equal and 10 mirrored copies
    targets = np.concatenate([np.arange(80) % 2, np.arange(20) % 2, np.arange(20, 30) % 2])
    groups = np.arange(110)
    groups[50:58] = 50  # eight images of one patient
    labelled = replace(open_given((images, targets), None), groups=groups)
    gated = pass_gate(labelled, Split(seed=seed), Data(), published=False)
    split_of = np.full(110, "", dtype=object)
    for name, rows in gated.rows.items():
        split_of[rows] = name
    assert "" not in split_of
    assert (split_of[80:] == split_of[:30]).all()
    assert len(set(split_of[50:58])) == 1
    assert gated.leaks["tied"] == {"images": 68, "sets": 31, "splits": ["train", "val", "test"]}
    sizes = {name: len(rows) for name, rows in gated.rows.items()}
    assert abs(sizes["test"] - 16.5) <= 4 and abs(sizes["val"] - 16.5) <= 4, sizes
    again = pass_gate(labelled, Split(seed=seed), Data(), published=False)
    assert all(np.array_equal(again.rows[name], gated.rows[name]) for name in gated.rows)


def test_files_of_equal_pixels_are_equal_and_labels_are_compared(tmp_path: Path) -> None:
    for number, pixels in enumerate(pictures(12)):
        folder = tmp_path / "set" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    Image.fromarray(pictures(12)[0]).save(tmp_path / "set" / "cat" / "again.bmp")  # 0 is a dog
    labelled = open_data(Data(source=str(tmp_path / "set")))
    gated = pass_gate(labelled, Split(), Data(), published=False)
    assert gated.leaks["within"]["all"] == {"exact": 1, "near": 0}
    assert gated.leaks["conflicts"]["exact"] == 1
    assert {*gated.leaks["conflicts"]["listed"][0][:2]} == {"cat/again.bmp (cat)", "dog/0.png (dog)"}


def test_what_was_found_is_read_from_the_cache_and_a_damaged_file_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    images = given_with_leaks(2).images
    first = find_twins(images)
    kept = sorted((cache_folder() / "leaks").iterdir(), key=lambda path: path.stat().st_mtime)[-1]

    def fail(thumbnails: np.ndarray) -> None:
        raise AssertionError("searched again")

    with monkeypatch.context() as patch:
        patch.setattr(twins_module, "find_near", fail)
        again = find_twins(images.take(np.arange(len(images))))
    assert np.array_equal(first.near.first, again.near.first)
    assert np.array_equal(first.content, again.content)
    kept.write_bytes(kept.read_bytes()[:-40])
    assert np.array_equal(find_twins(images).near.second, first.near.second)


def test_group_by_a_regex_on_paths(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = make_folder({"cat": 6, "dog": 6})
    for folder in ("cat", "dog"):
        for number in range(6):
            (root / folder / f"{number}.png").rename(root / folder / f"p{number // 2}-{number}.png")
    labelled = open_data(Data(source=str(root), group_by="(p[0-9])-"))
    assert labelled.groups is not None
    assert labelled.groups.tolist() == [0, 0, 1, 1, 2, 2] * 2
    with pytest.raises(RecipeError, match="expected one"):
        open_data(Data(source=str(root), group_by="p[0-9]"))
    with pytest.raises(DataError, match=r"matches 4 of 12 paths"):
        open_data(Data(source=str(root), group_by="(p1)"))


def test_group_by_a_key_of_an_npz(tmp_path: Path) -> None:
    images, targets = pictures(20), np.arange(20) % 2
    patients = np.array([f"p{number // 4}" for number in range(20)])
    np.savez(tmp_path / "lone.npz", x=images, y=targets, patient=patients)
    labelled = open_data(Data(source=str(tmp_path / "lone.npz"), group_by="patient"))
    assert labelled.groups is not None
    assert labelled.groups.tolist() == [number // 4 for number in range(20)]
    parts = {"x_train": images[:10], "y_train": targets[:10], "x_test": images[10:], "y_test": targets[10:]}
    np.savez(tmp_path / "split.npz", **parts, patient_train=patients[:10], patient_test=patients[10:])
    source = Data(source=str(tmp_path / "split.npz"), group_by="patient")
    with pytest.raises(DataError, match="1 groups are in two splits"):  # p2 has images 8 to 11
        pass_gate(open_data(source), Split(), source, published=False)
    with pytest.raises(DataError, match="has no array plate"):
        open_data(Data(source=str(tmp_path / "lone.npz"), group_by="plate"))
