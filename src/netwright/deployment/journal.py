"""The answers of a long prediction as they come, in OUT.part, so that one that was stopped goes on where it was.

The first line says what the answers are of, each other line is one answer, all JSON in ASCII. A line is whole when it
has its newline: what a kill tore off is cut away and predicted again.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from netwright.deployment.stream import Source
from netwright.errors import InputError, MachineError
from netwright.files.atomic import explained
from netwright.files.lock import lock_open_file

FORMAT = 1
_SYNC_SECONDS = 5.0  # what a power cut may cost; a kill costs a batch


class Journal:
    """The answers so far of one prediction into the file `out`; a context that holds it for this process.

    `about` is all that decides an answer besides its image. Raises InputError when the file was begun with another
    bundle or other options, MachineError when another process is at it."""

    def __init__(self, out: Path, about: dict[str, Any]) -> None:
        self.path = out.with_name(out.name + ".part")
        self.num_done = 0
        self._about = json.dumps({"format": FORMAT, **about}, sort_keys=True)
        self._file: BinaryIO
        self._synced = time.monotonic()

    def __enter__(self) -> "Journal":
        with explained(self.path, 0):
            self._file = self.path.open("ab+")
        try:
            if not lock_open_file(self._file, shared=False, wait=False):
                raise MachineError(f"{self.path} is being written by another process; wait until it ends")
            self._open()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self._file.close()

    def _open(self) -> None:
        """Cut off a torn end, and compare or write the first line."""
        self._file.truncate(_whole_bytes(self._file))
        self._file.seek(0)
        first = self._file.readline()
        if not first:
            self._write(self._about + "\n")
        elif first.decode(errors="replace").rstrip("\n") != self._about:
            raise InputError(
                f"{self.path} was begun by another model or with other options; go on with those, or give --overwrite "
                "to begin again"
            )

    def remaining(self, sources: Iterator[Source]) -> Iterator[Source]:
        """Return the sources that have no answer yet. Raises InputError when those that have are other ones now."""
        for answer in self.answers():
            _, name = next(sources, (None, None))
            if name != answer["source"]:
                there = "there are no more" if name is None else f"it is {name}"
                raise InputError(
                    f"{self.path}: image {self.num_done + 1} was {answer['source']}, and now {there}; give the same "
                    "images to go on, or --overwrite to begin again"
                )
            self.num_done += 1
        return sources

    def add(self, answers: list[dict[str, Any]]) -> None:
        """Keep some answers; they survive a kill at once, and a power cut after a few seconds."""
        self._write("".join(json.dumps(answer) + "\n" for answer in answers))
        self.num_done += len(answers)
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def answers(self) -> Iterator[dict[str, Any]]:
        """Read the answers from the first on. Raises InputError for a damaged line, with its number."""
        with self.path.open("rb") as lines:
            next(lines)
            for number, line in enumerate(lines, 2):
                try:
                    answer: dict[str, Any] = json.loads(line)
                    answer["source"]
                except (ValueError, KeyError, TypeError):
                    raise InputError(f"{self.path}, line {number}, is damaged; --overwrite begins again") from None
                yield answer

    def remove(self) -> None:
        """Remove the file: its answers are in their own file now."""
        self.path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        with explained(self.path, len(text)):
            self._file.write(text.encode("ascii"))
            self._file.flush()


def _whole_bytes(file: BinaryIO) -> int:
    """Return where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
