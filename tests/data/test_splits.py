import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.config.sections import Data, Split
from netwright.data.labelled import ArrayImages, LabelledData
from netwright.data.sources import open_data
from netwright.data.splits import cut_fractions, cut_rows, manifest, split_rows
from netwright.errors import DataError, RecipeError


def labelled_of(counts: list[int], given_splits: dict[str, list[int]] | None = None) -> LabelledData:
    targets = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    np.random.default_rng(3).shuffle(targets)
    rows = {
        name: np.asarray(part, dtype=np.int64)
        for name, part in (given_splits or {"all": list(range(len(targets)))}).items()
    }
    pixels = np.random.default_rng(1).integers(0, 256, (len(targets), 4, 4, 1), dtype=np.uint8)
    names = [f"all/{row}" for row in range(len(targets))]
    return LabelledData("some", tuple("abcdefghij"[: len(counts)]), ArrayImages(pixels), targets, names, rows)


@settings(deadline=None, max_examples=80)
@given(
    counts=st.lists(st.integers(2, 60), min_size=2, max_size=6),
    val=st.floats(0, 0.45),
    test=st.floats(0, 0.45),
    seed=st.integers(0, 2**62),
)
def test_drawn_splits_are_disjoint_complete_stratified_and_repeatable(
    counts: list[int], val: float, test: float, seed: int
) -> None:
    data = labelled_of(counts)
    rows = split_rows(data, Split(val=val, test=test, seed=seed))
    together = np.concatenate(list(rows.values()))
    assert sorted(together.tolist()) == list(range(len(data)))
    again = split_rows(data, Split(val=val, test=test, seed=seed))
    assert all(np.array_equal(rows[name], again[name]) for name in rows)
    in_train = np.bincount(data.targets[rows["train"]], minlength=len(counts))
    assert in_train.min() >= 1
    for name, fraction in (("val", val), ("test", test)):
        part = np.bincount(data.targets[rows[name]], minlength=len(counts)) if name in rows else np.zeros(len(counts))
        for place, count in enumerate(counts):
            # exceptions: what the smallest classes leave to train, and the one image that a tiny fraction still gets
            assert abs(part[place] - fraction * count) <= 1 + 1e-6 or in_train[place] == 1


def test_defaults() -> None:
    lone = split_rows(labelled_of([100, 100]), Split())
    assert {name: len(part) for name, part in lone.items()} == {"train": 140, "val": 30, "test": 30}
    with_test = split_rows(labelled_of([100, 100], {"train": list(range(150)), "test": list(range(150, 200))}), Split())
    assert {name: len(part) for name, part in with_test.items()} == {"train": 135, "val": 15, "test": 50}
    assert with_test["test"].tolist() == list(range(150, 200))
    given_val = labelled_of([100, 100], {"train": list(range(150)), "val": list(range(150, 200))})
    assert set(split_rows(given_val, Split())) == {"train", "val"}
    assert len(split_rows(given_val, Split(test=0.2))["test"]) == 30
    whole = labelled_of([100, 100], {"train": list(range(150)), "test": list(range(150, 200))})
    assert len(split_rows(whole, Split(val=0.0))["train"]) == 150
    assert not np.array_equal(lone["val"], split_rows(labelled_of([100, 100]), Split(seed=1))["val"])


def test_a_fraction_of_a_split_that_is_given_is_refused() -> None:
    parts = {"train": list(range(150)), "test": list(range(150, 200))}
    data = labelled_of([100, 100], parts)
    with pytest.raises(RecipeError, match=r"`split\.test` is 0\.2 and some comes with a test split; leave it out"):
        split_rows(data, Split(test=0.2))
    assert set(split_rows(data, Split(test=0.0))) == {"train", "val", "test"}
    assert cut_fractions(data, Split(test=0.0)) == {"val": 0.1, "test": 0.0}
    again = Split(val=0.1)  # what a run's recipe then says
    assert all(np.array_equal(part, split_rows(data, Split())[name]) for name, part in split_rows(data, again).items())


def test_nothing_is_cut_under_a_manifest(tmp_path: Path) -> None:
    assert cut_fractions(labelled_of([9, 9]), Split(manifest=str(tmp_path / "split.json"))) == {"val": 0, "test": 0}


def test_too_few_images_and_too_much_cut() -> None:
    with pytest.raises(DataError, match="class 'b' has 1 image"):
        split_rows(labelled_of([5, 1]), Split())
    assert set(split_rows(labelled_of([5, 1]), Split(val=0.0, test=0.0))) == {"train"}
    with pytest.raises(RecipeError, match="leave nothing"):
        split_rows(labelled_of([5, 5]), Split(val=0.9))


def test_the_test_split_does_not_move_with_val() -> None:
    data = labelled_of([50, 70, 30])
    names = data.class_names
    parts = [cut_rows(data.targets, np.arange(150), {"val": val, "test": 0.2}, 5, names) for val in (0.1, 0.3)]
    assert np.array_equal(parts[0]["test"], parts[1]["test"])


def test_manifest_of_arrays(tmp_path: Path) -> None:
    data = labelled_of([20, 20])
    rows = split_rows(data, Split(seed=4))
    path = tmp_path / "split.json"
    path.write_text(json.dumps(manifest(data, rows, seed=4)))
    again = split_rows(data, Split(manifest=str(path)))
    assert {name: part.tolist() for name, part in again.items()} == {name: part.tolist() for name, part in rows.items()}
    with pytest.raises(DataError, match="other data"):
        split_rows(labelled_of([19, 21]), Split(manifest=str(path)))
    with pytest.raises(DataError, match="does not have"):
        split_rows(labelled_of([4, 4]), Split(manifest=str(path)))
    for broken in ("{}", "[1]", "no", '{"splits": {"train": 3}}'):
        path.write_text(broken)
        with pytest.raises(DataError, match="not a manifest"):
            split_rows(data, Split(manifest=str(path)))
    path.write_text(json.dumps(manifest(data, {"train": np.array([0, 1]), "val": np.array([1])})))
    with pytest.raises(DataError, match="two splits"):
        split_rows(data, Split(manifest=str(path)))


def test_manifest_of_files_says_what_is_missing(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = make_folder({"cat": 6, "dog": 6})
    data = open_data(Data(source=str(root)))
    rows = split_rows(data, Split(seed=1))
    path = tmp_path / "split.json"
    path.write_text(json.dumps(manifest(data, rows)))
    assert json.loads(path.read_text())["splits"]["val"][0].startswith(("cat/", "dog/"))
    again = split_rows(open_data(Data(source=str(root))), Split(manifest=str(path)))
    assert {name: part.tolist() for name, part in again.items()} == {name: part.tolist() for name, part in rows.items()}
    (root / "cat" / "3.png").unlink()
    with pytest.raises(DataError, match=r"1 files that pictures does not have: cat/3\.png"):
        split_rows(open_data(Data(source=str(root))), Split(manifest=str(path)))
