"""What is known of many files, as columns: 76 bytes a file where a list of objects takes 700."""

import struct
from array import array
from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from netwright.data.decode import Header
from netwright.data.file_bytes import Stat

DIGEST_BYTES = 32
UNREAD = b"\0" * DIGEST_BYTES
_STAT = struct.Struct("<QqqQQ")  # times may be before 1970


class Fact(msgspec.Struct, frozen=True):
    """`digest` is the SHA-256 of the bytes, zeros if the file can't be read; a text as `header` says what is wrong.

    `stat` is how the file was then."""

    stat: Stat
    digest: bytes
    header: Header | str


class Columns(msgspec.Struct, array_like=True):
    """Facts as they are written: stats and digests one after the other, and for each file which header is its own."""

    stats: bytes
    digests: bytes
    header_of: bytes
    headers: list[Header | str]


class Facts:
    """The facts of N files, in order. Raises ValueError for columns that don't belong together."""

    def __init__(self, columns: Columns | None = None) -> None:
        columns = columns or Columns(b"", b"", b"", [])
        self._stats, self._digests = bytearray(columns.stats), bytearray(columns.digests)
        self._header_of, self._headers = array("I", columns.header_of), list(columns.headers)
        self._place = {header: place for place, header in enumerate(self._headers)}
        count = len(self._header_of)
        whole = len(self._stats) == _STAT.size * count and len(self._digests) == DIGEST_BYTES * count
        if not whole or max(self._header_of, default=-1) >= len(self._headers):
            raise ValueError("columns of different lengths")

    def __len__(self) -> int:
        return len(self._header_of)

    def __iter__(self) -> Iterator[Fact]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, row: int) -> Fact:
        stat = Stat(*_STAT.unpack_from(self._stats, _STAT.size * row))
        digest = bytes(self._digests[DIGEST_BYTES * row : DIGEST_BYTES * (row + 1)])
        return Fact(stat, digest, self._headers[self._header_of[row]])

    def add(self, fact: Fact) -> None:
        """Append a file's facts."""
        self._stats += bytes(_STAT.size)
        self._digests += UNREAD
        self._header_of.append(0)
        self.put(len(self) - 1, fact)

    def put(self, row: int, fact: Fact) -> None:
        """Replace a file's facts."""
        _STAT.pack_into(self._stats, _STAT.size * row, *fact.stat)
        self._digests[DIGEST_BYTES * row : DIGEST_BYTES * (row + 1)] = fact.digest
        if fact.header not in self._place:
            self._place[fact.header] = len(self._headers)
            self._headers.append(fact.header)
        self._header_of[row] = self._place[fact.header]

    def digests(self) -> npt.NDArray[np.uint8]:
        """Return the digests (N, 32), a copy."""
        return np.frombuffer(bytearray(self._digests), np.uint8).reshape(-1, DIGEST_BYTES)

    def columns(self) -> Columns:
        """Return the facts as they are written."""
        return Columns(bytes(self._stats), bytes(self._digests), self._header_of.tobytes(), self._headers)
