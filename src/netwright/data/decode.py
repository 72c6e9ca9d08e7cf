"""One picture from bytes to upright 8-bit gray or RGB, with Pillow only: its decoders fail with exceptions.

(torchvision's `decode_image` ended the process on 20 of 20 PNGs with one flipped bit; Pillow on none.)"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from netwright.data.file_bytes import read_file
from netwright.data.png_chunks import damaged_chunk
from netwright.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 50_000_000
GRAY_MODES = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_ORIENTATION = 0x0112
_TURNS = {  # EXIF orientation -> what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_OTHERS = (
    (b"%!PS", "an EPS or PostScript file"),
    (b"%PDF", "a PDF file"),
    (b"8BPS", "a Photoshop file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"PK\x03\x04", "a zip archive"),
)


class Header(NamedTuple):
    """What a picture's header says: upright height and width in pixels, Pillow's mode, several frames, the format."""

    height: int
    width: int
    mode: str
    animated: bool
    format: str = ""


def read_header(source: Path | bytes | Image.Image, max_pixels: int = MAX_PIXELS) -> Header:
    """Read size and mode without decoding. Raises DataError for what is no picture of ours."""
    with _explained(source), quiet_pillow():
        image = open_picture(source, max_pixels)
        height, width = upright_size(image)
        animated = bool(getattr(image, "is_animated", False)) and image.format not in ("MPO", "JPEG")
        mode = "P" if image.mode == "P" else image.mode
        return Header(height, width, mode, animated, image.format or "")


def open_picture(source: Path | bytes | Image.Image, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open a picture lazily, by content and not by name; the pixel cap is checked before anything is allocated."""
    if isinstance(source, Image.Image):
        image = source
    else:
        content = source if isinstance(source, bytes) else read_file(source)
        if not content:
            raise _Refused("empty file (0 bytes)")
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        except Image.DecompressionBombError:
            raise _Refused(f"declares more than {max_pixels // 10**6} million pixels") from None
        except UnidentifiedImageError:
            raise _Refused(f"not an image ({_looks_like(content)}; read are {', '.join(FORMATS)})") from None
        wrong = damaged_chunk(content) if image.format == "PNG" else None
        if wrong is not None:
            raise _Refused(f"damaged (a {wrong} chunk is cut off, or its checksum wrong)")
    if image.width * image.height > max_pixels:
        raise _Refused(f"declares {image.width} × {image.height} pixels, more than {max_pixels // 10**6} million")
    if image.width == 0 or image.height == 0:
        raise _Refused(f"has {image.width} × {image.height} pixels")
    return image


def decode_picture(
    source: Path | bytes | Image.Image,
    channels: int,
    background: int = 255,
    window: tuple[float, float] | None = None,
    draft: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Image.Image:
    """Decode the first frame, upright, as mode L (channels 1) or RGB (channels 3).

    Transparent pixels are laid on the gray level `background`. 16-bit gray is divided by 257; `window` (black, white)
    says otherwise, and is needed for floats. `draft` (height, width): a JPEG may be decoded smaller, not below this.
    Raises DataError that names the file and the reason, for every kind of damage."""
    return decode_sized(source, channels, background, window, draft, max_pixels)[0]


def decode_sized(
    source: Path | bytes | Image.Image,
    channels: int,
    background: int = 255,
    window: tuple[float, float] | None = None,
    draft: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode as `decode_picture` does; return the upright (height, width) before any `draft`, too."""
    with _explained(source), quiet_pillow():
        image = open_picture(source, max_pixels)
        size = upright_size(image)
        if draft is not None and image.format == "JPEG":
            turned = _orientation(image) >= 5
            image.draft(None, (draft[0], draft[1]) if turned else (draft[1], draft[0]))
        image.load()
        upright = _turn(image)
        plain = _to_8_bit(upright, background, window)
        wanted = "L" if channels == 1 else "RGB"
        return (plain if plain.mode == wanted else plain.convert(wanted)), size


def open_upright(source: Path | bytes | Image.Image, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode the first frame, upright, in the picture's own mode: masks, whose values are no brightness.

    Raises DataError as `decode_picture`."""
    with _explained(source), quiet_pillow():
        image = open_picture(source, max_pixels)
        image.load()
        return _turn(image)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (height, width) after the EXIF orientation; TIFF's own size has it already."""
    turned = image.format != "TIFF" and _orientation(image) >= 5
    return (image.width, image.height) if turned else (image.height, image.width)


def _turn(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))  # Pillow removes the tag where its decoder turned already (TIFF)
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata is no reason to refuse a picture
        return 1
    return value if isinstance(value, int) else 1


def _to_8_bit(image: Image.Image, background: int, window: tuple[float, float] | None) -> Image.Image:
    """Bring any mode to L or RGB."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_gray(image, window)
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgba = image.convert("LA") if image.mode == "La" else image
        gray = rgba.mode in ("1", "L", "LA")
        rgba = rgba if rgba.mode == "RGBA" else rgba.convert("RGBA")
        under = Image.new("RGBA", rgba.size, (background, background, background, 255))
        flat = Image.alpha_composite(under, rgba).convert("RGB")
        return flat.getchannel(0) if gray else flat
    if image.mode in ("L", "RGB"):  # `convert` to the mode that it has would copy it
        return image
    try:
        return image.convert("L" if image.mode == "1" else "RGB")
    except ValueError:
        raise _Refused(f"has the colour mode {image.mode}, which can't become RGB") from None


def _from_deep_gray(image: Image.Image, window: tuple[float, float] | None) -> Image.Image:
    values = np.asarray(image)
    if window is not None:
        black, white = window
        if not np.isfinite(values).all():
            raise _Refused("has NaN or infinite pixels")
        scaled = (values.astype(np.float64) - black) * (255 / (white - black))
        return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))
    if image.mode == "F":
        raise _Refused("has floating-point pixels; say what is black and white with `data.value_range`")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise _Refused(f"has values from {low} to {high}; say what is black and white with `data.value_range`")
    return Image.fromarray(((values.astype(np.int32) + 128) // 257).astype(np.uint8))


class _Refused(Exception):
    """A reason of ours, to be completed with the picture's name."""


@contextmanager
def _explained(source: Any) -> Iterator[None]:
    """Turn whatever Pillow raises (OSError, SyntaxError, struct.error, …) into a DataError with the name."""
    name = str(source) if isinstance(source, (str, Path)) else "the image"
    try:
        yield
    except (_Refused, DataError) as error:
        raise DataError(f"{name}: {error}") from None
    except FileNotFoundError:
        raise DataError(f"{name}: no such file (any more)") from None
    except PermissionError:
        raise DataError(f"{name}: no permission to read it") from None
    except IsADirectoryError:
        raise DataError(f"{name}: a folder, not a file") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"{name}: damaged ({reason})") from None


def _looks_like(content: bytes) -> str:
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:200].lower().startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "looks like HTML"
    if start.lower().startswith((b"<?xml", b"<svg")):
        return "looks like XML or SVG"
    for magic, name in _OTHERS:
        if start.startswith(magic):
            return f"looks like {name}"
    if content[4:8] == b"ftyp":
        return "looks like HEIC, AVIF or a video"
    printable = sum(byte in b"\t\r\n" or 32 <= byte < 127 for byte in start)
    return "looks like text" if start and printable >= 0.95 * len(start) else "unknown content"


_silence_lock = threading.Lock()
_silence: dict[str, Any] = {"depth": 0, "saved": None}


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore warnings while pictures are decoded, in whatever number of threads.

    `warnings.catch_warnings` alone would put the filters of one thread back under another one's feet."""
    with _silence_lock:
        _silence["depth"] += 1
        if _silence["depth"] == 1:
            _silence["saved"] = warnings.catch_warnings()
            _silence["saved"].__enter__()
            warnings.simplefilter("ignore")
    try:
        yield
    finally:
        with _silence_lock:
            _silence["depth"] -= 1
            if _silence["depth"] == 0:
                _silence["saved"].__exit__(None, None, None)
