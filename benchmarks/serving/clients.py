"""Many clients in one thread: each sends one image after the other on a connection of its own.

Bare sockets and a selector, 30 to 50 µs a request: a client that costs more than the server would be what is measured.
"""

import base64
import json
import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Load:
    """What the clients saw: the seconds of every answer, in order of their coming, and how often each status came.

    A connection that ended without an answer is counted as status 0."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Return answers of status 200 a second."""
        return self.statuses[200] / self.seconds


def send_load(address: str, body: "Body", clients: int, seconds: float, most_requests: int = 1_000_000) -> Load:
    """Keep `clients` requests in flight for some seconds, or until so many are sent; then wait for the last ones."""
    place = urlsplit(address)
    request = body.request(place.netloc)
    crowd = [_Client(place.hostname or "", place.port or 80, request) for _ in range(clients)]
    load, selector = Load(), selectors.DefaultSelector()
    start = time.perf_counter()
    for client in crowd:
        client.begin(selector)
    sent = busy = clients
    while busy:
        for key, events in selector.select():
            if not key.data.proceed(events, selector, load):
                continue
            if time.perf_counter() - start < seconds and sent < most_requests:
                key.data.begin(selector)
                sent += 1
            else:
                busy -= 1
    load.seconds = time.perf_counter() - start
    for client in crowd:
        client.close()
    return load


@dataclass(frozen=True)
class Body:
    """What is sent: an image's bytes as they are, or as base64 in JSON."""

    content: bytes
    kind: str = "application/octet-stream"

    @classmethod
    def in_json(cls, content: bytes) -> "Body":
        return cls(json.dumps({"image": base64.b64encode(content).decode()}).encode(), "application/json")

    def request(self, host: str) -> bytes:
        """Return the bytes of one request."""
        head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: {self.kind}\r\n"
        return f"{head}Content-Length: {len(self.content)}\r\n\r\n".encode() + self.content


class _Client:
    """One connection with at most one request in flight."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._place, self._request = (host, port), request
        self._socket: socket.socket | None = None
        self._unsent, self._got, self._began = b"", b"", 0.0

    def begin(self, selector: selectors.BaseSelector) -> None:
        """Send the next request, over the connection that is there."""
        if self._socket is None:
            self._socket = socket.create_connection(self._place, 30)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(self._socket, selectors.EVENT_READ, self)
        self._began, self._got, self._unsent = time.perf_counter(), b"", self._request
        self._send(selector)

    def proceed(self, events: int, selector: selectors.BaseSelector, load: Load) -> bool:
        """Go on with what the connection is ready for; say whether the answer is whole."""
        assert self._socket is not None
        if events & selectors.EVENT_WRITE:
            self._send(selector)
        if not events & selectors.EVENT_READ:
            return False
        try:
            part = self._socket.recv(1 << 18)
        except BlockingIOError:
            return False
        except OSError:
            part = b""
        self._got += part
        status = _status(self._got)
        if status is None and part:
            return False
        load.latencies.append(time.perf_counter() - self._began)
        load.statuses[status or 0] += 1
        if not part or b"connection: close" in self._got.partition(b"\r\n\r\n")[0].lower():
            selector.unregister(self._socket)
            self.close()
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, selector: selectors.BaseSelector) -> None:
        assert self._socket is not None
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # closed by the server: what it said before is still to be read
            self._unsent = b""
        more = selectors.EVENT_WRITE if self._unsent else 0
        selector.modify(self._socket, selectors.EVENT_READ | more, self)


def _status(got: bytes) -> int | None:
    """Return the status of an answer that is whole."""
    head, end, body = got.partition(b"\r\n\r\n")
    if not end:
        return None
    _, found, rest = head.lower().partition(b"content-length:")
    assert found, "an answer without its length"
    if len(body) < int(rest.partition(b"\r\n")[0]):
        return None
    return int(head.split(b" ", 2)[1])
