"""Content hashes, all SHA-256 in hexadecimal."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256_bytes(content: bytes | bytearray | memoryview) -> str:
    """Return the hash of some bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_parts(parts: Iterable[str | bytes]) -> str:
    """Return one hash of several parts; where one ends and the next begins counts."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8, "little"))
        whole.update(content)
    return whole.hexdigest()
