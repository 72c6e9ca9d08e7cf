"""Turning down at the door: while the service is full a request gets its 503 without having been parsed.

Through HTTP's parser, the routes and an exception a refusal costs as much processor time as a small image's answer, so
that a flood would leave nothing for those who are in. Nor is a refused client that asks anew at once, in spite of
Retry-After, heard before half a second has passed; its health checks and all else that is no POST are.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from netwright.web.corked import Corked
from netwright.web.guard import HEADERS, NO_TOKEN, error_json

_DEAF_SECONDS = 0.5
_FIRST_LINE = re.compile(rb"POST (/predict|/explain)(?:\?[^ \r]*)? HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,9})(?=\r\n)", re.IGNORECASE)
_AUTHORIZATION = re.compile(rb"\r\nauthorization:([^\r\n]*)(?=\r\n)", re.IGNORECASE)
_BY_THE_USUAL_WAY = re.compile(rb"\r\n(?:transfer-encoding|upgrade|expect|connection: *close|[ \t])", re.IGNORECASE)


class Post(NamedTuple):
    """A request for a prediction: its path, how many bytes of it are still to come, its Authorization header."""

    path: str
    missing: int
    authorization: str = ""


def one_post(data: bytes) -> Post | None:
    """Return the request for a prediction that begins with these bytes.

    None for what is left to the parser: other requests, heads that are not whole, what can be read in two ways."""
    line = _FIRST_LINE.match(data)
    end = data.find(b"\r\n\r\n")
    if line is None or end < 0:
        return None
    head = data[: end + 2]
    names = head.lower()
    lengths, given = _LENGTH.findall(head), _AUTHORIZATION.findall(head)
    if len(lengths) != 1 or names.count(b"content-length") != 1 or _BY_THE_USUAL_WAY.search(head):
        return None
    if len(given) > 1 or names.count(b"\nauthorization") != len(given):
        return None
    missing = end + 4 + int(lengths[0]) - len(data)
    return Post(line[1].decode(), missing, b"".join(given).decode("latin-1").strip()) if missing >= 0 else None


def overloaded(message: str, retry_seconds: int) -> bytes:
    """Return a whole answer 503; the connection stays."""
    return _answer("503 Service Unavailable", error_json("overloaded", message), {"retry-after": str(retry_seconds)})


def _answer(status: str, body: bytes, more: dict[str, str]) -> bytes:
    headers = {"content-type": "application/json", "content-length": str(len(body)), **more, **HEADERS}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


_NO_TOKEN = _answer("401 Unauthorized", error_json(*NO_TOKEN), {"www-authenticate": "Bearer"})


@dataclass(frozen=True)
class Rules:
    """Who is turned down: `refused` gives the answer for who comes while the service is full, else None, by the number
    of requests that are in, some of which may have no place yet; `knows` says whether an Authorization header has the
    token; `told` gets the path asked for of who is turned down for want of a place."""

    refused: Callable[[int], bytes | None]
    knows: Callable[[str], bool]
    told: Callable[[str], None]


class Doorkeeper(H11Protocol):
    """uvicorn's protocol with a doorkeeper."""

    rules: ClassVar[Rules]
    _unwanted = 0  # bytes of a refused body that are still to come
    _deaf: asyncio.TimerHandle | None = None  # ends the half second
    _held = b""  # what came in it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._corked = Corked(transport, self.loop)
        super().connection_made(cast(asyncio.Transport, self._corked))

    def on_response_complete(self) -> None:
        self._corked.flush()
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        if self._unwanted:
            dropped = min(self._unwanted, len(data))
            self._unwanted -= dropped
            data = data[dropped:]
            if not data:
                return
        if self._deaf is not None:
            self._held += data
            if b"POST ".startswith(self._held[:5]):
                self.flow.pause_reading()
            else:
                self._deaf.cancel()
                self._hear()
            return
        answer = self.rules.refused(len(self.tasks))
        between = self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE
        if answer is None or not between or self.conn.trailing_data[0] or (post := one_post(data)) is None:
            super().data_received(data)
            return
        self._turn_down(post, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deaf is not None:
            self._deaf.cancel()
        super().connection_lost(exc)

    def _turn_down(self, post: Post, answer: bytes) -> None:
        self._unwanted = post.missing
        self._deaf = self.loop.call_later(_DEAF_SECONDS, self._hear)
        self._unset_keepalive_if_required()
        if self.rules.knows(post.authorization):
            self.rules.told(post.path)
            self.transport.write(answer)
        else:
            self.transport.write(_NO_TOKEN)
        self._corked.flush()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _hear(self) -> None:
        held, self._held, self._deaf = self._held, b"", None
        self.flow.resume_reading()
        if held:
            self.data_received(held)


def doorkeeper(rules: Rules) -> type[Doorkeeper]:
    """Return the protocol of a server."""
    return type("OurDoorkeeper", (Doorkeeper,), {"rules": rules})
