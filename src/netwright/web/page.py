"""The page's three files, sent as they lie in the package."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


def page_file(path: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that sends one of them."""
    name, kind = _FILES[path]
    content = (files("netwright.web") / "static" / name).read_bytes()

    async def send(request: Request) -> Response:
        return Response(content, media_type=kind)

    return send
