"""One process at a time in a folder; the lock of a dead process falls by itself (the kernel drops it)."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from netwright.errors import MachineError
from netwright.files.atomic import explained

if sys.platform != "win32":
    import fcntl


def is_locked(folder: Path) -> bool:
    """Say whether a living process holds the folder."""
    if not (folder / ".lock").exists():
        return False
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False  # a folder that can't be written can't be trained in either
    lock.release()
    return False


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises MachineError that names the process which holds it, or a full disk."""
    lock = FileLock(folder / ".lock")
    owner = folder / ".lock-owner"
    try:
        with explained(folder / ".lock", 0):
            lock.acquire(timeout=0)
    except Timeout:
        who = owner.read_text(encoding="utf-8") if owner.exists() else "another process"
        raise MachineError(f"the folder {folder} is in use by {who}; wait until it ends") from None
    try:
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        with explained(owner, 100):
            owner.write_text(f"process {os.getpid()} on {platform.node()} since {since}", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def lock_open_file(file: IO[Any], *, shared: bool, wait: bool) -> bool:
    """Lock an open file for reading (shared) or alone; return False when another process holds it and we don't wait.

    The lock falls when the last handle of this opening is closed, a mapping's own included. A lock that is held may be
    changed into the other kind. Raises OSError where the file system has no locks; Windows has none of this kind, but
    refuses to remove files that are open."""
    if sys.platform == "win32":
        return True
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file.fileno(), how)
    except BlockingIOError:
        return False
    return True
