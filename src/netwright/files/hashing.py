"""Content hashes, all SHA-256 in hexadecimal."""

import hashlib
from pathlib import Path


def sha256_bytes(content: bytes | bytearray | memoryview) -> str:
    """Return the hash of some bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
