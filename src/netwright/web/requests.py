"""What a request brings: images as a raw body or the files of a form, or a table's rows as JSON or CSV."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from netwright.config.serving import Serving
from netwright.workflows.serve import CSV, JSON, Given

Result = TypeVar("Result")
Images = list[Given]
_RAW = ("application/octet-stream", "binary/octet-stream")
_LONGEST_NAME = 200


class Takes(NamedTuple):
    """How what a network takes is read of a request, and what the OpenAPI document says of it by the columns of
    `describe`; `thing` is one of them in a sentence."""

    thing: str
    read: Callable[[Request, Serving], Awaitable[list[Given]]]
    body: Callable[[list[dict[str, Any]]], dict[str, Any]]


async def read_images(request: Request, limits: Serving) -> Images:
    """Return (name, bytes) of each image.

    Raises HTTPException: 413 too many, 415 another content type, 422 none at all or a body that is no form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _from_form(request, limits)
    if kind.startswith("image/") or kind in _RAW:
        content = await request.body()
        if not content:
            raise HTTPException(422, "the body is empty; send an image's bytes")
        return [("image", content)]
    said = "send an image as the body (image/…, application/octet-stream), or several as multipart/form-data"
    raise HTTPException(415, said)


async def _from_form(request: Request, limits: Serving) -> Images:
    most = limits.most_images
    try:
        async with request.form(max_files=most, max_fields=most, max_part_size=64 * 1024) as form:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            images = [(_name(file.filename, place), await file.read()) for place, file in enumerate(files)]
    except (MultiPartException, HTTPException) as error:
        if isinstance(error, HTTPException) and error.status_code in (408, 413):
            raise
        said = error.message if isinstance(error, MultiPartException) else str(error.detail)
        many = "Too many" in said
        raise HTTPException(413 if many else 422, f"at most {most} images" if many else "not a form") from None
    if not images:
        raise HTTPException(422, "the form has no file; send images as files")
    return images


def _name(filename: str | None, place: int) -> str:
    """Return a name for the answer: the last part of the file's, without what a terminal or a log would act on."""
    last = (filename or "").replace("\\", "/").rpartition("/")[2][:_LONGEST_NAME]
    name = "".join(letter if letter.isprintable() else "?" for letter in last)
    return name or f"image {place + 1}"


async def read_rows(request: Request, limits: Serving) -> list[Given]:
    """Return the table, called `rows`, with what it is written in. Raises HTTPException: 415 another content type, 422
    nothing at all."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = {"application/json": JSON, "text/csv": CSV}.get(kind)
    if form is None:
        raise HTTPException(415, "send rows as application/json (an object or a list of them), or as text/csv")
    content = await request.body()
    if not content:
        raise HTTPException(422, "the body is empty; send rows")
    return [("rows", form + content)]


async def while_there(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Return what `work` gives, or stop it when the client goes away. Raises HTTPException 499 then, which nobody sees.

    For what takes seconds: a mask of a large picture. The request's body has been read."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise HTTPException(499, "the client has gone")
    finally:
        leaving.cancel()
        working.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "type": "object",
    "properties": {"images": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    "required": ["images"],
}


def _images_body(columns: list[dict[str, Any]]) -> dict[str, Any]:
    raw = dict.fromkeys(("image/jpeg", "image/png", "image/webp", "application/octet-stream"), BINARY)
    return {**raw, "multipart/form-data": {"schema": _FORM}}


def _rows_body(columns: list[dict[str, Any]]) -> dict[str, Any]:
    cell = {"type": ["number", "string", "boolean", "null"]}
    names = [column["name"] for column in columns]
    row = {"type": "object", "properties": dict.fromkeys(names, cell), "required": names}
    rows = {"anyOf": [row, {"type": "array", "items": row, "minItems": 1}]}
    return {"application/json": {"schema": rows}, "text/csv": {"schema": {"type": "string"}}}


TAKES = {"images": Takes("image", read_images, _images_body), "rows": Takes("row", read_rows, _rows_body)}
