"""Writing that a kill or a power cut can't tear: beside, fsync, replace, fsync of the folder."""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from netwright.errors import MachineError


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: a reader sees the old bytes or the new, never a part.

    Raises MachineError when the disk is full or the folder can't be written."""
    with explained(path, len(content)), atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write into that takes the place of `path` when the block ends, and is removed when it fails.

    Raises OSError when the system refuses; see `explained`."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o644)  # mkstemp makes it private; a run is to be read by others
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a value atomically as indented JSON; NaN and infinity are refused by ValueError."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, text.encode("utf-8", "backslashreplace"))


def append_line(path: Path, line: str) -> None:
    """Append one line and fsync it; a line torn by a kill is without its newline and is dropped by the reader."""
    with explained(path, len(line)), path.open("ab+") as file:
        new = not file.seek(0, os.SEEK_END)
        torn = file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
        file.write(b"\n" * torn + line.encode("utf-8") + b"\n")
        file.flush()
        os.fsync(file.fileno())
        if new:
            sync_folder(path.parent)


def make_folders(path: Path) -> None:
    """Make a folder, with those above it that are missing; each is durable in the one above."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the system can (Windows can't open folders)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def explained(path: Path, num_bytes: int) -> Iterator[None]:
    """Turn the operating system's refusals to write into a MachineError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(
                f"the disk is full: {path} needs {num_bytes:,} bytes; free some space and resume"
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise MachineError(
                f"{path} can't be written ({error.strerror}); allow it, or use another folder: another --out, or a "
                "copy of the run"
            ) from None
        if error.errno == errno.ENAMETOOLONG:
            raise MachineError(
                f"the name {str(path)[:60]}… is too long for this system; choose a shorter one"
            ) from None
        raise
