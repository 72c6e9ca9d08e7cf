"""Turning down at the door: while the service is full a request gets its 503 without having been parsed.

Through HTTP's parser, the routes and an exception a refusal costs as much processor time as a small image's answer, so
that a flood would leave nothing for those who are in. Nor is a refused client that asks anew at once, in spite of
Retry-After, heard before half a second has passed.
"""

import re
from collections.abc import Callable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from netwright.web.guard import HEADERS, error_json

_DEAF_SECONDS = 0.5
_FIRST_LINE = re.compile(rb"POST (/predict|/explain)(?:\?[^ \r]*)? HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,9})(?=\r\n)", re.IGNORECASE)
_BY_THE_USUAL_WAY = re.compile(rb"\r\n(transfer-encoding|upgrade|expect|connection: *close)", re.IGNORECASE)


def one_post(data: bytes) -> tuple[str, int] | None:
    """Return the path of a request for a prediction that begins with these bytes, and how many of it are still to come.

    None for what is left to the parser: other requests, heads that are not whole, what can be read in two ways."""
    line = _FIRST_LINE.match(data)
    end = data.find(b"\r\n\r\n")
    if line is None or end < 0:
        return None
    head = data[: end + 2]
    lengths = _LENGTH.findall(head)
    if len(lengths) != 1 or head.lower().count(b"content-length") != 1 or _BY_THE_USUAL_WAY.search(head):
        return None
    missing = end + 4 + int(lengths[0]) - len(data)
    return (line[1].decode(), missing) if missing >= 0 else None


def refusal(message: str, retry_seconds: int) -> bytes:
    """Return a whole answer 503; the connection stays."""
    body = error_json("overloaded", message)
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "retry-after": str(retry_seconds),
        **HEADERS,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + body


def doorkeeper(refused: Callable[[int], bytes | None], told: Callable[[str], None]) -> type[H11Protocol]:
    """Return uvicorn's protocol with a doorkeeper.

    `refused` gives the answer for who comes while the service is full, else None; it gets the number of requests that
    are in, some of which may have no place yet. `told` gets the path asked for."""

    class Doorkeeper(H11Protocol):
        _unwanted = 0  # bytes of a refused body that are still to come

        def data_received(self, data: bytes) -> None:
            if self._unwanted:
                dropped = min(self._unwanted, len(data))
                self._unwanted -= dropped
                data = data[dropped:]
                if not data:
                    return
            answer = refused(len(self.tasks))
            between = self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE
            if answer is None or not between or self.conn.trailing_data[0] or (found := one_post(data)) is None:
                super().data_received(data)
                return
            path, self._unwanted = found
            self._unset_keepalive_if_required()
            self.transport.write(answer)
            told(path)
            self.flow.pause_reading()
            self.loop.call_later(_DEAF_SECONDS, self.flow.resume_reading)
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    return Doorkeeper
