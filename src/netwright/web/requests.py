"""The images of a request: a raw body, or the files of a form."""

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from netwright.config.serving import Serving

Images = list[tuple[str, bytes]]
_RAW = ("application/octet-stream", "binary/octet-stream")
_LONGEST_NAME = 200


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
