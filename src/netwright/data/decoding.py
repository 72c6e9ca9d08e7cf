"""What decides the pixels of a decoded image besides its bytes: our settings, our code, Pillow and its codecs."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import PIL
from PIL import features

from netwright.data.transform import EvalTransform

_CODE = ("arrays.py", "channels.py", "decode.py", "png_chunks.py", "resize.py", "transform.py")
_AFTER_DECODING = ("image_size", "resize", "mean", "std", "kind", "views", "table")


def decoding_key(transform: EvalTransform) -> dict[str, Any]:
    """Return what a kept block of decoded pixels depends on, ready for JSON: every field of the transform but those
    that act on decoded pixels, and the decoder."""
    fields = msgspec.to_builtins(transform)
    return {name: value for name, value in fields.items() if name not in _AFTER_DECODING} | {"decoder": decoder()}


@cache
def decoder() -> str:
    """Return the decoder's version: Pillow, its codecs and our own code.

    The code's own bytes and not a number to be raised by hand, which somebody would forget once."""
    folder = Path(__file__).parent
    code = hashlib.sha256(b"".join((folder / name).read_bytes() for name in _CODE)).hexdigest()[:12]
    codecs = [f"{name} {features.version(name)}" for name in ("jpg", "libjpeg_turbo", "webp", "libtiff")]
    return ", ".join([f"Pillow {PIL.__version__}", *codecs, f"code {code}"])
