"""The checksums of a PNG: Pillow skips those of the pixels, and shows what a flipped bit made of them."""

import zlib

_SIGNATURE_BYTES = 8


def damaged_chunk(content: bytes) -> str | None:
    """Return the kind of the first chunk that is cut off or whose CRC-32 is wrong; None when all are right.

    Source: PNG, 3rd edition, section 5.3."""
    view = memoryview(content)
    place = _SIGNATURE_BYTES
    while place + 12 <= len(content):
        length = int.from_bytes(view[place : place + 4], "big")
        kind = bytes(view[place + 4 : place + 8])
        end = place + 8 + length
        if end + 4 > len(content) or zlib.crc32(view[place + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return kind.decode("ascii", "backslashreplace")
        place = end + 4
    return None
