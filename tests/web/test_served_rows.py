"""Rows and numbers over HTTP: the same answers as `netwright predict`, and what is wrong with a row by its name."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import netwright as nw
from netwright.config.serving import Serving
from netwright.workflows.serve import Service
from tests.web.conftest import leaks, serving

Served = tuple[httpx.Client, Service]
CSV = {"content-type": "text/csv"}
ROW: dict[str, Any] = {"size": 0.215, "made": "2024-03-11", "new": "yes", "colour": "red"}


@pytest.fixture(scope="module")
def rows(row_bundles: dict[str, Path]) -> Iterator[Served]:
    with serving(row_bundles["classes"], Serving(decoders=1, most_rows=200)) as both:
        yield both


def test_a_table_is_answered_as_predict_answers(rows: Served, row_bundles: dict[str, Path], rows_csv: Path) -> None:
    expected = nw.predict(row_bundles["classes"], [str(rows_csv)], top=None)
    answer = rows[0].post("/predict", content=rows_csv.read_bytes(), headers=CSV).json()
    assert answer["calibrated"] == expected["calibrated"]
    assert [each["source"] for each in answer["predictions"][:2]] == ["row 1", "row 2"]
    for given, wanted in zip(answer["predictions"], expected["predictions"], strict=True):
        assert given["label"] == wanted["label"]
        assert given["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-6)


def test_json_says_the_same_as_csv(rows: Served) -> None:
    client, _ = rows
    text = "size,made,new,colour\n0.215,2024-03-11,yes,red\n,,no,\n1e3,2024-03-11,,never seen\n"
    given = [ROW, ROW | {"size": None, "made": None, "new": False, "colour": None}]
    given.append(ROW | {"size": "1,000", "new": None, "colour": "never seen", "more": [1]})
    by_csv = client.post("/predict", content=text.encode(), headers=CSV).json()
    by_json = client.post("/predict", json=given).json()
    assert by_json == by_csv
    (alone,) = client.post("/predict", json=ROW).json()["predictions"]  # a batch of one is summed in another order
    assert alone["probabilities"] == pytest.approx(by_json["predictions"][0]["probabilities"], abs=1e-6)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"size": 1}, "row 1 has no 'made', 'new', 'colour'"),
        ([ROW, {"size": 1}], "row 2 has no"),
        (ROW | {"size": "large"}, "'large' (row 1)"),
        (ROW | {"made": "yesterday"}, "'yesterday' (row 1)"),
        (ROW | {"size": [1]}, "'size' is a list"),
        (ROW | {"colour": {}}, "'colour' is an object"),
        ([], "a list of such objects"),
        ([1], "a list of such objects"),
        ("red", "a list of such objects"),
        ([ROW] * 201, "201 rows, and 200 are taken at once"),
    ],
)
def test_what_is_wrong_with_rows_is_said(sent: Any, said: str, rows: Served) -> None:
    answer = rows[0].post("/predict", json=sent)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]
    assert "--columns" not in answer.text  # what a command can be told, a client can't


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        (b"{", "application/json", 422, "no JSON"),
        (b"[" * 100_000, "application/json", 422, "no JSON"),
        (b'{"size": NaN}', "application/json", 422, "no JSON"),
        (b"", "text/csv", 422, "empty"),
        (b"size,made,new,colour", "text/csv", 422, "no rows"),
        (b"size\n1", "text/csv", 422, "does not have the columns"),
        (b"size,size\n1,2", "text/csv", 422, "two columns"),
        (b"size,made,new,colour\n1,2,3,4,5", "text/csv", 422, "5 cells"),
        (b'size,made,new,colour\n"1', "text/csv", 422, "quote"),
        (b"size,made,new,colour\n1,,,\xff", "text/csv", 422, "UTF-8"),
        (b"\0\1\2", "text/csv", 422, "not a text"),
        (b"x", "image/png", 415, "application/json"),
    ],
)
def test_bodies_that_are_no_rows_are_refused(content: bytes, kind: str, status: int, said: str, rows: Served) -> None:
    answer = rows[0].post("/predict", content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]
    assert not leaks(answer.text)


def test_a_number_that_the_network_can_not_hold_has_no_answer(rows: Served) -> None:
    answer = rows[0].post("/predict", json=[ROW | {"size": 2.9e38}, ROW])
    assert answer.status_code == 200
    assert "too large" in answer.json()["predictions"][0]["error"]["message"]
    assert answer.json()["predictions"][1]["label"] in ("cherry", "plum")


def test_columns_are_described(rows: Served) -> None:
    model = rows[0].get("/model").json()
    assert (model["task"], model["takes"], model["target"]) == ("classification", "rows", "kind")
    assert [column["name"] for column in model["columns"]] == ["size", "made", "new", "colour"]
    assert model["columns"][3] == {"name": "colour", "kind": "category", "categories": ["blue", "green", "red"]}
    assert 0.15 < model["columns"][0]["middle"] < 0.25
    document = rows[0].get("/openapi.json").json()
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "text/csv"}
    assert "/explain" not in document["paths"]


def test_rows_can_have_numbers_for_answers(row_bundles: dict[str, Path], rows_csv: Path) -> None:
    expected = nw.predict(row_bundles["numbers"], [str(rows_csv)])["predictions"]
    with serving(row_bundles["numbers"]) as (client, _):
        given = client.post("/predict", content=rows_csv.read_bytes(), headers=CSV).json()["predictions"]
        assert client.get("/model").json()["target"] == "weight"
    assert [each["value"] for each in given] == pytest.approx([each["value"] for each in expected], rel=1e-5)


def test_images_can_have_numbers_for_answers(number_bundle: Path, pictures: list[Path]) -> None:
    expected = nw.predict(number_bundle, [str(path) for path in pictures])["predictions"]
    with serving(number_bundle) as (client, _):
        files = [("images", (path.name, io.BytesIO(path.read_bytes()))) for path in pictures]
        given = client.post("/predict", files=files).json()["predictions"]
        model = client.get("/model").json()
        document = json.dumps(client.get("/openapi.json").json())
    assert [each["value"] for each in given] == pytest.approx([each["value"] for each in expected], rel=1e-5)
    assert (model["task"], model["target"]) == ("regression", "brightness")
    assert model["metrics"]["val"]["mae"] > 0
    assert "PredictedNumber" in document
    assert "PredictedLabel" not in document
