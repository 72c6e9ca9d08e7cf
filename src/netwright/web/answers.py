"""How each task answers over HTTP: what one prediction looks like, and what else a client may wish."""

import base64
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from netwright.web.schemas import PredictedLabel, PredictedMask, PredictedNumber
from netwright.workflows.serve import Draw, mask_png, overlay_png

PNG = "image/png"


class Wish(NamedTuple):
    """What one request asks for: what is made of masks, and the answer (the predict JSON, its status) as a response."""

    draw: Draw | None
    respond: Callable[[dict[str, Any], int], Response]


class Answers(NamedTuple):
    """A task's answers: one of them in the OpenAPI document, the route's parameters and other content types there, and
    the wish of a request that brings so many images. `explained`: there is a class to show the places of; `is_long`: it
    can take so long that a client goes away."""

    model: type[BaseModel]
    wish: Callable[[Request, int], Wish]
    parameters: tuple[dict[str, Any], ...] = ()
    contents: tuple[str, ...] = ()
    explained: bool = False
    is_long: bool = False


def as_json(value: Mapping[str, Any], status: int = 200) -> Response:
    """Return a JSON response."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(body, status, media_type="application/json")


def png_url(png: bytes) -> str:
    """Return a PNG as a data URL."""
    return f"data:{PNG};base64,{base64.b64encode(png).decode()}"


_PLAIN = Wish(None, as_json)


def _nothing_more(request: Request, number: int) -> Wish:
    return _PLAIN


def _wish_for_masks(request: Request, number: int) -> Wish:
    """JSON with the masks, or the mask itself: `Accept: image/png`. Raises HTTPException 406 where that asks for
    several in one, 422 for an `overlay` that is neither true nor false."""
    overlay = _is_true(request, "overlay")
    if not prefers(PNG, "application/json", request.headers.get("accept", "")):
        return Wish(partial(_drawn, overlay), as_json)
    if number != 1:
        raise HTTPException(406, f"one mask is one PNG, and there are {number} images; ask for application/json")
    return Wish(lambda pixels, mask: {"png": overlay_png(pixels, mask) if overlay else mask_png(mask)}, _as_png)


def _drawn(overlay: bool, pixels: Any, mask: Any) -> dict[str, Any]:
    found = {"width": mask.shape[1], "height": mask.shape[0], "mask": png_url(mask_png(mask))}
    return found | ({"overlay": png_url(overlay_png(pixels, mask))} if overlay else {})


def _as_png(answer: dict[str, Any], status: int) -> Response:
    (only,) = answer["predictions"]
    return Response(only["png"], media_type=PNG) if "png" in only else as_json(answer, status)


def _is_true(request: Request, name: str) -> bool:
    given = request.query_params.get(name, "false")
    if given not in ("true", "false"):
        raise HTTPException(422, f"{name} is true or false")
    return given == "true"


def prefers(one: str, other: str, accept: str) -> bool:
    """Say whether an Accept header likes one media type better than another (RFC 9110, 12.5.1)."""
    return _liking(one, accept) > _liking(other, accept)


def _liking(media: str, accept: str) -> float:
    """Return the quality of the most specific range that covers a media type."""
    quality, found = 0.0, -1
    ranks = {media: 2, f"{media.partition('/')[0]}/*": 1, "*/*": 0}
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        rank = ranks.get(name, -1)
        if rank > found:
            found, quality = rank, _quality(parameters)
    return quality


def _quality(parameters: list[str]) -> float:
    given = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return min(1.0, max(0.0, float(given)))
    except ValueError:
        return 0.0


_OVERLAY = {
    "name": "overlay",
    "in": "query",
    "required": False,
    "schema": {"type": "boolean", "default": False},
    "description": "Send the mask over the image, too; with Accept: image/png in the mask's place.",
}

ANSWERS = {
    "classification": Answers(PredictedLabel, _nothing_more, explained=True),
    "regression": Answers(PredictedNumber, _nothing_more),
    "segmentation": Answers(PredictedMask, _wish_for_masks, (_OVERLAY,), (PNG,), is_long=True),
}
