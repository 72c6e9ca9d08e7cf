"""Who may ask, how much and how long, over a real socket."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from netwright.config.serving import Serving
from netwright.web.guard import HEADERS, Access
from netwright.web.server import access_for
from netwright.workflows.serve import Service
from tests.web.conftest import HOSTS, serving, until

BYTES = {"content-type": "application/octet-stream"}
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def strict(bundle: Path) -> Iterator[tuple[httpx.Client, Service]]:
    """A server that asks for a token and has small limits."""
    limits = Serving(decoders=1, most_body_bytes=10_000, body_seconds=0.5, most_waiting=2)
    with serving(bundle, limits, Access(HOSTS, TOKEN)) as both:
        both[0].headers["authorization"] = f"Bearer {TOKEN}"
        yield both


def spoken(client: httpx.Client, rest: str) -> bytes:
    """Send the beginning of a request that no client library would; return the answer's first line."""
    url = httpx.URL(str(client.base_url))
    with socket.create_connection((url.host, url.port or 80)) as raw:
        raw.settimeout(20)
        start = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        raw.sendall(f"{start}Content-Type: image/png\r\n{rest}".encode())
        return raw.recv(1000).split(b"\r\n")[0]


def test_other_hosts_and_origins_are_refused(strict: tuple[httpx.Client, Service]) -> None:
    client, _ = strict
    assert client.get("/model").status_code == 200
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/model", headers={"host": "LOCALHOST:1"}).status_code == 200
    own = str(client.base_url).rstrip("/")
    assert client.get("/model", headers={"origin": own}).status_code == 200
    for origin in ("http://evil.example", "null", f"{own}.evil.example", "http://[::1"):  # the last is no URL
        answer = client.post("/predict", content=b"x", headers={**BYTES, "origin": origin})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "foreign_origin"


def test_the_token_is_asked_for_but_on_health_and_page(strict: tuple[httpx.Client, Service]) -> None:
    client, _ = strict
    for given in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
        answer = client.get("/model", headers={"authorization": given})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/", "/page.js", "/healthz", "/readyz"):
        assert client.get(path, headers={"authorization": ""}).status_code == 200


def test_a_large_body_is_refused_before_it_is_read(strict: tuple[httpx.Client, Service]) -> None:
    client, _ = strict
    assert client.post("/predict", content=b"x" * 10_001, headers=BYTES).status_code == 413
    assert b" 413 " in spoken(client, "Content-Length: 99999999999\r\n\r\nx")
    chunks = (b"x" * 1000 for _ in range(11))
    assert client.post("/predict", content=chunks, headers=BYTES).status_code == 413


def test_a_slow_body_is_408_and_gives_its_place_back(strict: tuple[httpx.Client, Service]) -> None:
    client, service = strict
    assert b" 408 " in spoken(client, "Content-Length: 100\r\n\r\nx")
    until(lambda: service.waiting == 0)


def test_when_full_it_says_so_at_once_and_health_answers(
    strict: tuple[httpx.Client, Service], pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, service = strict
    hold = threading.Event()
    network = service.predictor.rows
    monkeypatch.setattr(service.predictor, "rows", lambda images: (hold.wait(20), network(images))[1])
    statuses: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=client.base_url, headers=client.headers, timeout=30) as own:
            statuses.append(own.post("/predict", content=pictures[0].read_bytes(), headers=BYTES).status_code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: service.waiting == 2)
    start = time.monotonic()
    refused = client.post("/predict", content=pictures[0].read_bytes(), headers=BYTES)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    again = time.monotonic()
    assert client.post("/predict", content=b"x" * 9000, headers=BYTES).status_code == 503
    assert time.monotonic() - again > 0.1, "who asks anew at once is heard at once"
    assert client.get("/healthz").status_code == 200, "the refused body was taken for a request"
    parts = (pictures[0].read_bytes()[place : place + 50] for place in range(0, 500, 50))
    parsed = client.post("/predict", content=parts, headers=BYTES)  # in chunks: not turned down at the door
    assert parsed.status_code == 503
    assert parsed.json() == refused.json()
    assert refused.headers.items() >= {(name, value) for name, value in HEADERS.items()}
    assert 'netwright_requests_total{path="/predict",status="503"} 3.0' in client.get("/metrics").text
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert time.monotonic() - start < 15, "it waited for the network"
    hold.set()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]
    assert client.get("/readyz").status_code == 200


def test_what_waits_for_a_decoder_past_its_deadline_is_503(bundle: Path, pictures: list[Path]) -> None:
    limits = Serving(decoders=1, deadline_seconds=0.3, decode_seconds=2.0)
    with serving(bundle, limits) as (client, service):
        (decoder,) = service._decoders.every
        os.kill(decoder.process.pid, signal.SIGSTOP)  # the first image is decoded until it is given up
        answers: list[httpx.Response] = []

        def ask() -> None:
            url = f"{client.base_url}/predict"
            answers.append(httpx.post(url, content=pictures[0].read_bytes(), headers=BYTES, timeout=30))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers] == [503, 422]
        assert answers[0].json()["error"]["code"] == "too_late"
        assert "2 s to decode" in answers[1].text
        assert client.post("/predict", content=pictures[0].read_bytes(), headers=BYTES).status_code == 200


def test_who_may_ask_by_where_it_listens() -> None:
    assert access_for("127.0.0.1", (), None).hosts == {"127.0.0.1", "localhost", "::1"}
    assert "model.example" in access_for("0.0.0.0", ("Model.Example",), None).hosts
    assert access_for("0.0.0.0", (), None).hosts == frozenset()
