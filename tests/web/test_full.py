"""A full service, over a real socket: whose turn it is not, who is heard all the same, and who has no token."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from netwright.config.serving import Serving
from netwright.web.guard import HEADERS, Access
from netwright.workflows.serve import Service
from tests.web.conftest import HOSTS, serving, until

TOKEN = "a-token-of-some-length"
KNOWN = {"authorization": f"Bearer {TOKEN}"}
HEAD = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: image/png\r\n"
REFUSED = 'netwright_requests_total{path="/predict",status="503"} '


@contextmanager
def busy(client: httpx.Client, service: Service, picture: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold the only place by a picture that is not computed before the end."""
    hold = threading.Event()
    network = service.predictor.rows
    patch.setattr(service.predictor, "rows", lambda images: (hold.wait(60), network(images))[1])
    statuses: list[int] = []

    def ask() -> None:
        headers = KNOWN | {"content-type": "image/png"}
        with httpx.Client(base_url=client.base_url, headers=headers, timeout=60) as own:
            statuses.append(own.post("/predict", content=picture.read_bytes()).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        until(lambda: service.waiting == 1)
        yield
    finally:
        hold.set()
        thread.join()
    assert statuses == [200]


@pytest.fixture
def full(bundle: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client, of one connection, of a server that has no place."""
    with serving(bundle, Serving(decoders=1, most_waiting=1), Access(HOSTS, TOKEN)) as (client, service):
        with busy(client, service, pictures[0], monkeypatch):
            limits = httpx.Limits(max_connections=1)
            with httpx.Client(base_url=client.base_url, headers=KNOWN, limits=limits, timeout=10) as own:
                yield own


def ask(client: httpx.Client, content: bytes = b"x" * 9000, **headers: str) -> httpx.Response:
    return client.post("/predict", content=content, headers={"content-type": "image/png", **headers})


@contextmanager
def raw(client: httpx.Client) -> Iterator[socket.socket]:
    """A bare connection to the server."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), 10) as made:
        yield made


def answer(made: socket.socket) -> tuple[int, bytes]:
    """Read one whole answer: its status and its body."""
    got = b""
    while (end := got.find(b"\r\n\r\n")) < 0 or len(got) < end + 4 + _length(got[:end]):
        part = made.recv(1 << 16)
        assert part, f"the connection ended after {got!r}"
        got += part
    assert len(got) == end + 4 + _length(got[:end])
    return int(got.split(b" ", 2)[1]), got[end + 4 :]


def _length(head: bytes) -> int:
    found = re.search(rb"content-length: *(\d+)", head.lower())
    assert found is not None
    return int(found[1])


def test_who_was_refused_is_told_of_the_health_at_once(full: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.web.doorkeeper._DEAF_SECONDS", 600.0)
    for path, status in {"/healthz": 200, "/readyz": 503, "/metrics": 200, "/model": 200}.items():
        with httpx.Client(base_url=full.base_url, headers=KNOWN, timeout=10) as own:
            assert ask(own).status_code == 503
            assert own.get(path).status_code == status


def test_health_comes_after_the_rest_of_a_refused_body(full: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.web.doorkeeper._DEAF_SECONDS", 600.0)
    with raw(full) as made:
        made.sendall(f"{HEAD}Content-Length: 300000\r\n\r\n".encode() + b"GET " * 25_000)
        assert answer(made)[0] == 503
        made.sendall(b"GET " * 50_000 + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(made) == (200, b'{"status": "ok"}')


def test_who_asks_anew_is_held_and_then_answered(full: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.web.doorkeeper._DEAF_SECONDS", 600.0)
    request = f"{HEAD}Content-Length: 3\r\n\r\nabc".encode()
    with raw(full) as held, raw(full) as short:
        held.sendall(request)
        assert answer(held)[0] == 503
        held.sendall(request)
        monkeypatch.setattr("netwright.web.doorkeeper._DEAF_SECONDS", 0.3)
        short.sendall(request)
        assert answer(short)[0] == 503
        for part in (request[:1], request[1:60], request[60:]):
            short.sendall(part)
        assert answer(short)[0] == 503
        assert f"{REFUSED}3.0" in full.get("/metrics").text, "the other one's second request was not held"


def test_a_wrong_token_is_401_also_when_full(full: httpx.Client) -> None:
    for given in ("Bearer wrong", f"Basic {TOKEN}", ""):
        refused = ask(full, authorization=given)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json() == full.get("/model", headers={"authorization": given}).json()
        assert refused.headers.items() >= HEADERS.items()
    assert ask(full).status_code == 503
    assert f"{REFUSED}1.0" in full.get("/metrics").text
