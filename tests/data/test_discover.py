import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.config.sections import Data, Split
from netwright.data.discover import describe_source
from netwright.data.image_paths import image_files
from netwright.data.listing import list_folder
from netwright.data.sources import open_data
from netwright.data.splits import split_rows
from netwright.errors import DataError

Make = Callable[..., Path]


def test_kinds(make_folder: Make, tmp_path: Path) -> None:
    assert describe_source("cifar10") == "named"
    assert describe_source(str(make_folder({"cat": 1, "dog": 1}))) == "folder"
    assert (
        describe_source(str(make_folder({"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dog": 1}, name="s")))
        == "split folder"
    )
    (tmp_path / "a.npz").write_bytes(b"x")
    assert describe_source(str(tmp_path / "a.npz")) == "npz"


@pytest.mark.parametrize("given", ["cifar-10", "CIFAR10", "cifar11"])
def test_unknown_name_suggests(given: str) -> None:
    with pytest.raises(DataError, match='did you mean "cifar10"'):
        describe_source(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("~no-such-user-here/x", "no home folder"),
        ("x" * 300, "too long"),
        ("./" + "x" * 300 + ".npz", "too long"),
        ("a\0b", "neither|not exist"),
    ],
)
def test_paths_that_can_not_be_looked_at(given: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        describe_source(given)
    assert len(str(caught.value)) < 500


def test_a_data_root_and_a_manifest_that_can_not_be_looked_at() -> None:
    for path, message in (("~no-such-user-here/x", "no home folder"), ("x" * 300, "too long")):
        with pytest.raises(DataError, match=message):
            open_data(Data(source="mnist", root=path))
        with pytest.raises(DataError, match=message):
            split_rows(open_data(Data()), Split(manifest=path))


def test_missing_path_suggests_its_neighbour(make_folder: Make) -> None:
    root = make_folder({"cat": 1, "dog": 1})
    with pytest.raises(DataError, match=r'does not exist .did you mean "pictures"'):
        describe_source(str(root.parent / "picture"))


def test_nested_folders_belong_to_the_top_class_and_strays_are_counted(make_folder: Make) -> None:
    root = make_folder({"cat/young/black": 2, "cat": 1, "dog": 1})
    (root / "cat" / "notes.txt").write_text("hello")
    (root / ".DS_Store").write_bytes(b"\0")
    listing = list_folder(root)
    assert {name: len(images) for name, images in listing.splits["all"].items()} == {"cat": 3, "dog": 1}
    assert any(notice.startswith("not images, ignored (2)") for notice in listing.notices)


def test_valid_is_val_with_a_notice(make_folder: Make) -> None:
    listing = list_folder(
        make_folder({f"{split}/{name}": 1 for split in ("train", "valid") for name in ("cat", "dog")})
    )
    assert set(listing.splits) == {"train", "val"}
    assert "took valid/ as val" in listing.notices


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"cat": 2}, "one class only, 'cat'"),
        ({"cat": 2, "dog": 0}, "dog has no images"),
        ({"cat": 0, "dog": 0}, "no images in class folders"),
        ({"Cat": 1, "cat": 1}, "equal up to case"),
        ({"train/cat": 1, "train/dog": 1, "test/cat": 1, "test/cow": 1}, "only in test/: cow; only in train/: dog"),
        ({"train/cat": 1, "train/dog": 0, "val/cat": 1, "val/dog": 1}, "no images in train/ and some in val/"),
        ({"val/cat": 1, "val/dog": 1, "test/cat": 1, "test/dog": 1}, "no train/"),
    ],
)
def test_folders_that_can_not_be_used(make_folder: Make, counts: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list_folder(make_folder(counts))


def test_empty_class_folder_is_said(make_folder: Make) -> None:
    listing = list_folder(make_folder({"cat": 1, "dog": 1, "emu": 0}))
    assert list(listing.splits["all"]) == ["cat", "dog"]
    assert "class folders without images, left out: emu" in listing.notices


def test_empty_folder_and_loose_images(make_folder: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is an empty folder"):
        describe_source(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="no class folders"):
        describe_source(str(make_folder({"cat": 2, "dog": 1}) / "cat"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.zip", "unzip"),
        ("a.tar.gz", "tar -xf"),
        ("a.npy", "savez"),
        ("a.png", "one image"),
        ("a.txt", "not labelled images"),
        ("a.7z", "7z x a.7z"),
        ("a.rar", "unrar x"),
    ],
)
def test_files_that_are_no_source(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=message):
        describe_source(str(tmp_path / name))


@pytest.mark.parametrize("place", ["set.zip", "cat/set.ZIP", "train/cat/set.tar.gz"])
def test_a_folder_with_an_archive_for_images_says_how_to_unpack_it(tmp_path: Path, place: str) -> None:
    (tmp_path / "pictures" / place).parent.mkdir(parents=True)
    (tmp_path / "pictures" / place).write_bytes(b"x")
    how = "tar -xf" if place.endswith("gz") else "unzip"
    with pytest.raises(DataError, match=f"no images in class folders.*archive.*{how} .*{Path(place).name}"):
        list_folder(tmp_path / "pictures")


def test_links_that_leave_or_loop_are_not_followed(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder({"cat": 1, "dog": 1})
    outside = make_folder({"secret": 1}, name="outside")
    os.symlink(outside, root / "emu")
    os.symlink(outside / "secret" / "0.png", root / "cat" / "link.png")
    os.symlink(root, root / "cat" / "loop")
    os.symlink(root / "cat", root / "cat" / "self")
    os.symlink(root / "dog" / "0.png", root / "cat" / "inside.png")
    os.symlink(root / "nowhere", root / "cat" / "dangling.png")
    listing = list_folder(root)
    assert listing.splits["all"]["cat"] == ["cat/0.png", "cat/inside.png"]
    assert any(notice.startswith("5 links") for notice in listing.notices)


def test_folders_deeper_than_python_calls(make_folder: Make) -> None:
    """Each function call takes a frame; the limit is lowered, since tools that remove folders have it too."""
    root = make_folder({"cat": 1, "dog": 1})
    deep = root / "cat" / "/".join(["d"] * 300)
    deep.mkdir(parents=True)
    (root / "cat" / "0.png").rename(deep / "0.png")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 60)
    try:
        listing = list_folder(root)
        found = image_files(root)
    finally:
        sys.setrecursionlimit(limit)
    assert len(listing.splits["all"]["cat"]) == 1
    assert len(found) == 2


def test_needs_neither_numpy_nor_torch() -> None:
    code = "import sys, netwright.data.discover; sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "src"}, check=False).returncode
        == 0
    )


def test_image_files_to_predict(make_folder: Make) -> None:
    root = make_folder({"cat/young": 1, "dog": 1})
    (root / "notes.txt").write_text("hello")
    assert [str(path.relative_to(root)) for path in image_files(root)] == ["cat/young/0.png", "dog/0.png"]
    assert image_files(root / "notes.txt") == [root / "notes.txt"]
    with pytest.raises(DataError, match="does not exist"):
        image_files(root / "gone.png")
