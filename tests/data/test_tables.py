"""Tables of paths and labels: which columns, where the files are, what is refused."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from netwright.config.sections import Data
from netwright.data.sources import open_data
from netwright.errors import DataError, MachineError

Make = Callable[..., Path]
FILES = ["cat/0.png", "dog/0.png", "cat/1.png", "dog/1.png"]
LABELS = ["cat", "dog", "cat", "dog"]


@pytest.fixture
def root(make_folder: Make) -> Path:
    return make_folder({"cat": 3, "dog": 3})


def write(root: Path, lines: Sequence[str], name: str = "labels.csv") -> str:
    (root / name).write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    return str(root / name)


def rows(head: str, separator: str = ",", more: str = "") -> list[str]:
    return [head] + [f"{path}{separator}{label}{more}" for path, label in zip(FILES, LABELS, strict=True)]


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        (rows("path,label"), {}),
        (rows("\ufeffFile Name, Class"), {}),
        (rows("image;target", ";"), {}),
        (rows("where,what"), {}),
        (rows("where,what,size", more=",7"), {"label_column": "what"}),
        (rows("label,path"), {"path_column": "label", "label_column": "path"}),
        (rows("path,label")[1:], {}),
        (rows("path,label,x")[1:], {"label_column": "2"}),
        ([line.replace("/", "\\") for line in rows("path,label")], {}),
    ],
)
def test_columns_are_found_by_name_by_look_or_as_said(root: Path, lines: list[str], fields: dict[str, str]) -> None:
    found = open_data(Data(source=write(root, lines), **fields))
    assert found.class_names == ("cat", "dog")
    assert list(found.sample_names) == FILES
    assert [found.class_names[target] for target in found.targets] == LABELS
    assert list(found.images.paths) == [root / name for name in FILES]
    assert found.notices[0].startswith("paths from column ")


def test_tab_separated_and_parquet_are_the_same(root: Path) -> None:
    frame = pd.DataFrame({"path": FILES, "label": [1.0, 10.0, 1.0, 2.0], "patient": ["a", "b", "a", "c"]})
    frame.to_parquet(root / "labels.parquet")
    frame.astype({"label": int}).to_csv(root / "labels.tsv", sep="\t", index=False)
    for name in ("labels.parquet", "labels.tsv"):
        found = open_data(Data(source=str(root / name), group_by="patient"))
        assert found.class_names == ("1", "2", "10")  # as numbers, not by the alphabet
        assert found.targets.tolist() == [0, 2, 0, 1]
        assert found.groups is not None and found.groups.tolist() == [0, 1, 0, 2]


def test_groups_by_a_regex_on_the_paths(root: Path) -> None:
    found = open_data(Data(source=write(root, rows("path,label")), group_by="([01]).png"))
    assert found.groups is not None and found.groups.tolist() == [0, 0, 1, 1]


def test_parquet_without_pyarrow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "labels.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a Parquet file"):
        open_data(Data(source=str(root / "labels.parquet")))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MachineError, match="pip install pyarrow"):
        open_data(Data(source=str(root / "labels.parquet")))


def test_splits_of_a_column(root: Path) -> None:
    lines = [f"{line},{split}" for line, split in zip(rows("")[1:], ["train"] * 2 + ["VALID"] * 2, strict=True)]
    found = open_data(Data(source=write(root, ["path,label,split", *lines])))
    assert {split: part.tolist() for split, part in found.given.items()} == {"train": [0, 1], "val": [2, 3]}
    lines[0] = "cat/0.png,cat,fold 1"
    with pytest.raises(DataError, match="column 'split' has 'fold 1'; expected train, val and test"):
        open_data(Data(source=write(root, ["path,label,split", *lines])))


def test_paths_from_a_root_whole_ones_and_odd_names(root: Path, tmp_path: Path) -> None:
    odd = ["cat/new\nline.png", "cat/ünï\u202e.png", os.fsdecode(b"dog/\xff.png"), "dog/a,b.png"]
    for name in odd:
        os.link(root / "cat" / "0.png", root / name)
    lines = ["path,label", *(f'"{name}",{name[:3]}' for name in odd), f"{root}/dog/1.png,dog"]
    table = write(tmp_path, lines)
    with pytest.raises(DataError, match=r"none of the 4 files .* exists"):
        open_data(Data(source=write(tmp_path, lines[:-1], "without-the-last.csv")))
    found = open_data(Data(source=table, root=str(root)))
    assert list(found.sample_names) == [*odd, f"{root}/dog/1.png"]
    assert all(path.exists() for path in found.images.paths)


def test_what_is_left_out_is_said(root: Path) -> None:
    found = open_data(
        Data(source=write(root, [*rows("path,label"), "cat/0.png,cat", "dog/2.png,", "", "./cat/1.png,cat"]))
    )
    assert list(found.sample_names) == FILES
    assert "labels.csv: rows without 'label', left out (1): line 7" in found.notices
    assert any(
        notice.startswith("labels.csv: files named twice, taken once (2): cat/0.png (line 2 and")
        for notice in found.notices
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "is empty"),
        (["path,label"], "column names and no rows"),
        (["open,high,low", "1,2,3", "4.5,5e3,6"], r"looks like a table of numbers \(open, high, low\)"),
        (["name,breed", "a,b"], "data.path_column=NAME; columns: name, breed"),
        (["path,size,weight", "cat/0.png,1,2"], "no column for labels .* data.label_column=NAME"),
        (["path,path", "cat/0.png,cat"], "two columns called path"),
        ([*rows("path,label"), "cat/0.png,dog"], r"two different labels or splits: cat/0.png \(line 2 and line 6\)"),
        ([*rows("path,label"), ",dog"], "no path in line 6"),
        ([*rows("path,label"), "dog/2.png,dog,brown"], "line 6: 3 cells, and 2 columns"),
        ([*rows("path,label"), "dog/2.png,Dog"], "equal up to case, 'Dog' and 'dog'"),
        (["path,label", "cat/0.png,cat"], "one label only, 'cat'"),
        (["path,label", "cat/0,cat", "dog/0,dog"], r"cat/0.png does: write the endings"),
        (["path,label", '"cat/0.png,cat', "dog/0.png,dog"], "line [23]: not a table .*; is a quote left open"),
        (["path,label", "cat/0.png\0,cat"], "not a text"),
    ],
)
def test_tables_that_can_not_be_used(root: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_data(Data(source=write(root, lines)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path_column": "pth"}, r"`data.path_column` is 'pth', which labels.csv does not have .did you mean .path"),
        ({"label_column": "path"}, "need a column each"),
        ({"group_by": "patient"}, "no column of labels.csv and no regex"),
    ],
)
def test_fields_that_do_not_fit_the_table(root: Path, fields: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_data(Data(source=write(root, rows("path,label")), **fields))


def test_columns_are_for_tables_only(root: Path) -> None:
    with pytest.raises(DataError, match=r"`data.label_column` is for tables"):
        open_data(Data(source=str(root), label_column="label"))
