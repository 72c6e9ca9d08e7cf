"""What is decided before a request is read: who may ask, how much, how long. Pure ASGI, outside everything else."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

from netwright.config.serving import Serving
from netwright.web.page import PATHS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset(("/healthz", "/readyz", *PATHS))  # say nothing of the model: no token for them
NO_TOKEN = ("token_needed", "send the header Authorization: Bearer with the server's token")  # code, message
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_ENCODED = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())


@dataclass(frozen=True)
class Access:
    """Who may ask. `hosts`: the names that the Host header may have (empty: any); `token`: what a client must know.

    A page of another site can make a browser ask a server on the same machine: its Origin is another one, and with a
    name of its own that it points here (DNS rebinding) so is the Host."""

    hosts: frozenset[str] = field(default_factory=frozenset)
    token: str | None = None

    def knows(self, authorization: str) -> bool:
        """Say whether an Authorization header has the token, or none is asked for."""
        kind, _, given = authorization.partition(" ")
        token = self.token
        return token is None or (
            kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
        )


class Guard:
    """Refuse what must not come in; count a body's bytes and seconds while it is read."""

    def __init__(self, app: App, access: Access, limits: Serving) -> None:
        self.app, self.access, self.limits = app, access, limits

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope["path"], headers)
        if refused is not None:
            await refuse(send, *refused)
            return
        await self.app(scope, _Body(receive, self.limits).receive, _with_headers(send))

    def _refusal(self, path: str, headers: dict[str, str]) -> tuple[int, str, str] | None:
        host = headers.get("host", "")
        if self.access.hosts and _name(host) not in self.access.hosts:
            return 421, "unknown_host", "this server does not answer under that name; --allow-host adds one"
        origin = headers.get("origin")
        if origin is not None and _host_of(origin) != host:
            return 403, "foreign_origin", "pages of other sites may not ask this server"
        if path not in OPEN_PATHS and not self.access.knows(headers.get("authorization", "")):
            return 401, *NO_TOKEN
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.most_body_bytes:
            return 413, "too_large", _too_large(self.limits)
        return None


class _Body:
    """A request's body, counted."""

    def __init__(self, receive: Receive, limits: Serving) -> None:
        self._receive, self._limits = receive, limits
        self._deadline = asyncio.get_running_loop().time() + limits.body_seconds
        self._num_bytes, self._whole = 0, False

    async def receive(self) -> Message:
        """Hand on the next part. Raises HTTPException 413 or 408 when it is too much or takes too long."""
        if self._whole:  # then it is the end of the connection that is waited for
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"the body took more than {self._limits.body_seconds:g} s to come") from None
        if message["type"] == "http.request":
            self._num_bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._num_bytes > self._limits.most_body_bytes:
                raise HTTPException(413, _too_large(self._limits))
        return message


def _too_large(limits: Serving) -> str:
    return f"the body has more than {limits.most_body_bytes:,} bytes"


def _name(host: str) -> str:
    """Return a Host header without its port, in small letters."""
    if host.startswith("["):
        return host.partition("]")[0].strip("[").lower()
    return host.partition(":")[0].lower()


def _host_of(origin: str) -> str:
    """Return the host and port of an Origin header; nothing for what is no URL."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_ENCODED]
        await send(message)

    return sending


def error_json(code: str, message: str) -> bytes:
    """Return the body of every answer that is no success."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


async def refuse(send: Send, status: int, code: str, message: str) -> None:
    """Answer without having read the body; the connection is closed, for the rest of it is not wanted."""
    body = error_json(code, message)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close")] + [(b"www-authenticate", b"Bearer")] * (status == 401)
    await _with_headers(send)({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
