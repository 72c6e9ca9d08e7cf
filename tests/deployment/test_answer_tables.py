"""The files of answers, read back by the standard library and by pandas."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from netwright.deployment.answer_tables import check_suffix, class_columns, write_answers
from netwright.errors import InputError

CLASSES = ("cat", "dog", "label")
ANSWERS: list[dict[str, Any]] = [
    {
        "source": 'a, "b"\nc.jpg',
        "label": "dog",
        "probability": 0.7,
        "probabilities": {"dog": 0.7, "cat": 0.2, "label": 0.1},
    },
    {"source": "torn.png", "error": {"code": "unreadable", "message": "torn.png: truncated"}},
    {
        "source": "caf\udce9.jpg",
        "label": "cat",
        "probability": 0.5,
        "probabilities": {"cat": 0.5, "label": 0.3, "dog": 0.2},
    },
]


@pytest.mark.parametrize("top", [None, 2])
def test_csv(top: int | None, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    write_answers(out, ANSWERS, class_columns(CLASSES, top))
    with out.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == [answer["source"] for answer in ANSWERS]
    assert [row["label"] for row in rows] == ["dog", "", "cat"]
    assert rows[1]["error"] == "torn.png: truncated"
    if top is None:
        assert (rows[0]["cat"], rows[0]["dog"], rows[0]["class label"]) == ("0.2", "0.7", "0.1")
    else:
        assert (rows[2]["label_2"], rows[2]["probability_2"]) == ("label", "0.3")
        assert "label_3" not in rows[0]


@pytest.mark.parametrize("top", [None, 2])
def test_parquet(top: int | None, tmp_path: Path) -> None:
    out = tmp_path / "answers.parquet"
    write_answers(out, ANSWERS * 5000, class_columns(CLASSES, top))  # over one row group
    table = pandas.read_parquet(out)
    assert len(table) == 15_000
    assert table["probability"].dtype == "float64"
    assert table["source"][0] == ANSWERS[0]["source"]
    assert table["source"][2] == "caf\\udce9.jpg"
    assert table["error"][1] == "torn.png: truncated"
    assert table["label"].isna().sum() == 5000
    if top is None:
        assert table.loc[14_999, ["cat", "dog", "class label"]].tolist() == [0.5, 0.2, 0.3]
    else:
        assert table.loc[0, ["label_2", "probability_2"]].tolist() == ["cat", 0.2]


def test_json_lines(tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    write_answers(out, ANSWERS[:2], class_columns(CLASSES, None))
    assert [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] == ANSWERS[:2]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    out.write_text("old")

    def failing() -> Any:
        yield ANSWERS[0]
        raise InputError("damaged")

    with pytest.raises(InputError):
        write_answers(out, failing(), class_columns(CLASSES, None))
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_another_ending_is_refused() -> None:
    with pytest.raises(InputError, match=r"\.parquet"):
        check_suffix(Path("answers.xlsx"))
