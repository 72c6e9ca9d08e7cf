"""Many texts in little memory: names and paths of files, of which a folder may have a million."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


class Texts(Sequence[str]):
    """N texts in one run of bytes: 8 bytes each beside their letters, where a list of `str` takes about 60.

    They may hold any bytes of a file system's, as Python's names of files do."""

    def __init__(self, texts: Iterable[str]) -> None:
        letters, ends = bytearray(), [0]
        for text in texts:
            letters += text.encode("utf-8", "surrogatepass")
            ends.append(len(letters))
        self._letters, self._ends = bytes(letters), np.array(ends, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> list[str]: ...

    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[place] for place in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(f"text {row} of {len(self)}")
        place = row % len(self)
        return self._letters[self._ends[place] : self._ends[place + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Texts({list(self)!r})"

    def take(self, rows: Rows) -> "Texts":
        """Return the texts of some rows, in their order."""
        return Texts(self[int(row)] for row in rows)


class Paths(Sequence[Path]):
    """The paths of files by their names below `root`; each is put together when it is asked for."""

    def __init__(self, root: Path, names: Texts) -> None:
        self.root, self.names = root, names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, row: int) -> Path: ...

    @overload
    def __getitem__(self, row: slice) -> list[Path]: ...

    def __getitem__(self, row: int | slice) -> Path | list[Path]:
        if isinstance(row, slice):
            return [self.root / name for name in self.names[row]]
        return self.root / self.names[row]

    def take(self, rows: Rows) -> "Paths":
        """Return the paths of some rows, in their order."""
        return Paths(self.root, self.names.take(rows))
