"""The routes, over a real socket: the same answers as `netwright predict`, and JSON for whatever goes wrong."""

import base64
import io
import json
import random
from pathlib import Path

import httpx
import pytest
from PIL import Image

import netwright as nw
from netwright.workflows.serve import Service
from tests.web.conftest import leaks

Served = tuple[httpx.Client, Service]
BYTES = {"content-type": "application/octet-stream"}


def test_one_image_is_answered_as_predict_answers(served: Served, bundle: Path, pictures: list[Path]) -> None:
    client, _ = served
    expected = nw.predict(bundle, [str(pictures[0])], top=None)
    answer = client.post("/predict", content=pictures[0].read_bytes(), headers={"content-type": "image/png"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    given, wanted = answer.json()["predictions"][0], expected["predictions"][0]
    assert answer.json()["calibrated"] == expected["calibrated"]
    assert given["label"] == wanted["label"]
    assert given["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)


def test_a_form_has_an_answer_a_file_in_order(served: Served, bundle: Path, pictures: list[Path]) -> None:
    client, _ = served
    files = [("images", (path.name, path.read_bytes())) for path in pictures]
    files.insert(3, ("images", ("../../etc/passwd", b"not an image")))
    answer = client.post("/predict", files=files)
    assert answer.status_code == 200
    given = answer.json()["predictions"]
    assert [each["source"] for each in given] == [Path(name).name for _, (name, _) in files]
    assert "error" in given[3]
    assert "label" not in given[3]
    expected = nw.predict(bundle, [str(path) for path in pictures])["predictions"]
    assert [each["label"] for each in given if "label" in each] == [each["label"] for each in expected]


def test_only_unreadable_images_are_422_with_their_reasons(served: Served) -> None:
    answer = served[0].post("/predict", content=b"<html>", headers=BYTES)
    assert answer.status_code == 422
    assert "HTML" in answer.json()["predictions"][0]["error"]["message"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/octet-stream", 422),
        (b"{}", "application/json", 415),
        (b"x", "", 415),
        (b"x", "multipart/form-data", 422),
        (b"--a\r\n\r\n--a--", "multipart/form-data; boundary=a", 422),
        (b"x" * 100, "multipart/form-data; boundary=a", 422),
    ],
)
def test_other_bodies_are_refused_in_json(body: bytes, kind: str, status: int, served: Served) -> None:
    answer = served[0].post("/predict", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["error"].keys() == {"code", "message"}


def test_too_many_parts_are_413(served: Served) -> None:
    files = [("images", (f"{place}.png", b"x")) for place in range(65)]
    assert served[0].post("/predict", files=files).status_code == 413


def test_a_header_that_promises_a_huge_picture_is_refused(served: Served) -> None:
    buffer = io.BytesIO()
    Image.new("1", (6000, 5000)).save(buffer, "PNG")
    answer = served[0].post("/predict", content=buffer.getvalue(), headers=BYTES)
    assert answer.status_code == 422
    assert "25 million" in answer.text


def test_explain_gives_a_picture(served: Served, pictures: list[Path]) -> None:
    answer = served[0].post("/explain", content=pictures[1].read_bytes(), headers=BYTES).json()
    assert answer["overlay"].startswith("data:image/png;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(answer["overlay"].partition(",")[2])))
    assert min(picture.size) >= 100
    label = (
        served[0].post("/predict", content=pictures[1].read_bytes(), headers=BYTES).json()["predictions"][0]["label"]
    )
    assert answer["label"] == label


def test_model_health_metrics_and_openapi(served: Served, pictures: list[Path]) -> None:
    client, _ = served
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    model = client.get("/model").json()
    assert model["class_names"] == [str(digit) for digit in range(10)]
    assert "## Limits" in model["card"]
    client.post("/predict", content=pictures[0].read_bytes(), headers=BYTES)
    numbers = client.get("/metrics").text
    assert 'netwright_requests_total{path="/predict",status="200"}' in numbers
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) >= {"/predict", "/model", "/healthz", "/readyz", "/metrics"}
    assert client.get("/docs").status_code == 404


def test_no_path_fills_the_counters(served: Served) -> None:
    client, _ = served
    for place in range(20):
        assert client.get(f"/made-up-{place}").status_code == 404
    assert "made-up" not in client.get("/metrics").text


@pytest.mark.parametrize("number", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_hostile_bodies_are_never_the_servers_fault(number: int, served: Served, pictures: list[Path]) -> None:
    """Damaged pictures and forms: 200 or 4xx, JSON, no path and no stack, and the next good one is answered."""
    client, draw = served[0], random.Random(5)
    whole = [path.read_bytes() for path in pictures]
    for quality in (30, 90):
        buffer = io.BytesIO()
        Image.open(pictures[0]).resize((64, 64)).save(buffer, "JPEG", quality=quality)
        whole.append(buffer.getvalue())
    kinds = ["application/octet-stream", "image/png", "multipart/form-data; boundary=x", "text/html", "image/svg+xml"]
    for _ in range(number):
        body = bytearray(draw.choice(whole))
        for _ in range(draw.randrange(1, 8)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        sent = bytes(body[: draw.randrange(len(body))]) if draw.random() < 0.3 else bytes(body)
        if draw.random() < 0.2:
            sent = b"--x\r\nContent-Disposition: form-data; name=i; filename=i\r\n\r\n" + sent + b"\r\n--x--\r\n"
        answer = client.post("/predict", content=sent, headers={"content-type": draw.choice(kinds)})
        assert answer.status_code in (200, 413, 415, 422), (answer.status_code, answer.text)
        said = json.loads(answer.content)
        assert "predictions" in said or "error" in said
        assert not leaks(answer.text)
    good = client.post("/predict", content=pictures[0].read_bytes(), headers=BYTES)
    assert good.status_code == 200
