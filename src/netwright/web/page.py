"""The page's files, sent as they lie in the package."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_SCRIPTS = ("page.js", "parts.js", "classes.js", "numbers.js", "masks.js", "rows.js")
_FILES = {"/": "page.html"} | {f"/{name}": name for name in ("page.css", *_SCRIPTS)}
PATHS = tuple(_FILES)


def page_file(path: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that sends one of them."""
    name = _FILES[path]
    content = (files("netwright.web") / "static" / name).read_bytes()
    kind = f"{_KINDS[name.rpartition('.')[2]]}; charset=utf-8"

    async def send(request: Request) -> Response:
        return Response(content, media_type=kind)

    return send
