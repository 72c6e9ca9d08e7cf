"""Files that carry their own SHA-256, so that a flipped bit or a cut end is noticed wherever the file is copied to.

The seal is the SHA-256 of the whole file with the seal's own 64 digits as zeros: a JSON file's last member, a YAML
file's last comment, an entry of a safetensors header. A line of a .jsonl file that grows has the first 16 digits of the
SHA-256 of what stands before it in the line. Any single flipped bit of a sealed file breaks its seal.
"""

import json
import re
from pathlib import Path
from typing import Any

from netwright.errors import InputError
from netwright.files.atomic import write_atomic
from netwright.files.hashing import sha256_bytes

ZEROS = "0" * 64  # what a seal is while it is computed
_SEAL = re.compile(rb'seal\\?"?: \\?"?([0-9a-f]{64})')
_LINE = re.compile(r'(\{.*), "seal": "([0-9a-f]{16})"\}', re.DOTALL)


def sealed(content: bytes, end: int | None = None) -> bytes:
    """Return content whose last seal before `end` (in bytes) is of zeros, with the seal that belongs there."""
    place = _digits(content, end)
    assert place is not None, "there is no place for a seal"
    assert content[place : place + 64] == ZEROS.encode(), "it is sealed already"
    return content[:place] + sha256_bytes(content).encode() + content[place + 64 :]


def broken_seal(content: bytes, end: int | None = None) -> str:
    """Say what is wrong with the last seal before `end`: nothing, `it has no seal` or `it does not match its seal`."""
    place = _digits(content, end)
    if place is None:
        return "it has no seal"
    plain = content[:place] + ZEROS.encode() + content[place + 64 :]
    return "" if sha256_bytes(plain).encode() == content[place : place + 64] else "it does not match its seal"


def _digits(content: bytes, end: int | None) -> int | None:
    last = content.rfind(b"seal", 0, len(content) if end is None else end)
    found = _SEAL.match(content, last) if last >= 0 else None
    return found.start(1) if found else None


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write a mapping atomically as indented JSON, sealed; NaN and infinity are refused by ValueError."""
    write_atomic(path, sealed_json(value))


def sealed_json(value: dict[str, Any]) -> bytes:
    """Return a mapping as indented JSON, sealed; NaN and infinity are refused by ValueError."""
    text = json.dumps(value | {"seal": ZEROS}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # names that are not UTF-8 become \udc80, which JSON knows too
    return sealed(text.encode("utf-8", "backslashreplace"))


def read_sealed(path: Path, advice: str = "restore it from a copy, or train again") -> dict[str, Any]:
    """Read what `write_sealed` wrote, without the seal. Raises InputError that names the file when it is damaged."""
    return open_sealed(path.read_bytes(), path, advice)


def open_sealed(content: bytes, name: str | Path, advice: str) -> dict[str, Any]:
    """Return what `sealed_json` was given, without the seal. Raises InputError, under `name`, for damaged content."""
    try:
        value = json.loads(content.decode("utf-8", "surrogateescape"))
        wrong = broken_seal(content)
    except (ValueError, RecursionError):  # the latter of what is nested too deep
        value, wrong = {}, "not JSON"
    if wrong or not isinstance(value, dict):
        raise InputError(f"{name} is damaged ({wrong or 'no mapping'}); {advice}")
    del value["seal"]
    return value


def sealed_line(value: dict[str, Any]) -> str:
    """Return a mapping as one line of JSON, sealed; NaN and infinity are refused by ValueError."""
    text = json.dumps(value, allow_nan=False)[:-1]
    return f'{text}, "seal": "{sha256_bytes(text.encode())[:16]}"}}'


def read_line(line: str) -> dict[str, Any]:
    """Return the mapping of a sealed line. Raises ValueError when it is damaged."""
    found = _LINE.fullmatch(line)
    if found is None or sha256_bytes(found[1].encode("utf-8", "surrogateescape"))[:16] != found[2]:
        raise ValueError("it does not match its seal")
    try:
        value: dict[str, Any] = json.loads(found[1] + "}")
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value
