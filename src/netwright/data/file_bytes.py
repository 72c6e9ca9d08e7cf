"""The bytes of an image file: ordinary files only, of a size that a picture may have."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from netwright.errors import DataError

MAX_FILE_BYTES = 2**30  # 50 million pixels of 16-bit RGBA, not compressed, are 0.4 GB


class Stat(NamedTuple):
    """By what a file is known to be untouched: size, times of modification and change (ns), inode, device."""

    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    device: int


def stat_of(path: Path) -> Stat:
    """Look at a file without reading it. Raises OSError."""
    found = path.stat()
    return Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def read_file(path: Path) -> bytes:
    """Read an image file whole. Raises OSError, and DataError for a pipe or device (it might never end) or a giant."""
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise DataError("not an ordinary file but a pipe, a device or a folder")
        if found.st_size > MAX_FILE_BYTES:
            raise DataError(f"has {found.st_size:,} bytes, more than a picture of the largest size allowed")
        return file.read(found.st_size + 1)  # one more than there was; asking for the most would reserve 1 GiB a thread


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe that nobody writes to would be waited for
