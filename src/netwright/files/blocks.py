"""Kept blocks: a flat array in a file of the cache folder, filled once, mapped by every process that asks again.

It is filled beside, as NAME.part under an exclusive lock, and renamed when it is on the disk: a reader sees a whole
block or none. Who has filled a large one reads it at once, and a thread waits for the disk. Whoever maps a block holds
a shared lock on it as long as the mapping lives. The locks are the kernel's and fall with the process: a killed
builder's part is taken over, and a block in use is never removed."""

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from netwright.files.atomic import explained, sync_folder
from netwright.files.block_file import (
    Damaged,
    Values,
    allocate,
    close_block,
    is_at,
    map_for_writing,
    map_private,
    read_manifest,
)
from netwright.files.block_limit import BLOCK, PART, TooLarge, block_folder, make_room, remove
from netwright.files.lock import lock_open_file

Fill = Callable[[Values], dict[str, Any]]
Say = Callable[[str], None]

WAIT_SECONDS = 0.05  # between two looks at what another process builds
BEHIND_BYTES = 2**25  # from here on a thread waits for the disk: 150 MB take 0.05 s on a quick one, 1 s on a slow
IN_MEMORY_BYTES = 2 * 2**30  # of a block that can't be kept: above, it lies in a temporary file
_REFUSALS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST),  # no folder of ours
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # no room
    *(errno.ENOLCK, errno.ENOTSUP, errno.EIO),  # not a disk to rely on
)
_saving: dict[str, threading.Thread] = {}  # by name, what this process filled and is not on the disk yet


@dataclass(frozen=True, eq=False)
class Block:
    """`values` (size,) and `meta`, as they were filled; `notices` says what a user should know of how it came.

    Writing into `values` does not change the file. `kept`: the next process that asks finds it again."""

    values: Values
    meta: dict[str, Any]
    kept: bool = True
    notices: tuple[str, ...] = ()


def find_block(key: Mapping[str, Any]) -> Block | None:
    """Return the block that is kept under `key`, or None. A damaged one is removed and counts as absent."""
    return _find(key)[0]


def open_block(
    key: Mapping[str, Any], *, title: str, size: int, dtype: str, fill: Fill, say: Say | None = None
) -> Block:
    """Return the block kept under `key`; where there is none, fill one of `size` numbers and keep it.

    `key` is anything JSON can hold that decides the values; its "kind" is one word for what such blocks are. `title` is
    what `netwright cache` shows. `fill` gets zeros (size,) to write into, from any thread, and returns `meta` (JSON).
    Of two processes that ask at once one fills; the other waits, which `say` is told, and maps.
    A block that can't be kept (read-only folder, full disk, over the limit) is filled in memory, from 2 GiB on in a
    temporary file, with a notice. Raises MachineError when there is no room for that either, and what `fill` raises."""
    found, notices = _find(key)
    if found is not None:
        return found
    about = {"key": dict(key), "title": title, "dtype": dtype, "size": size}
    try:
        built = _build(_named(key), about, fill, say)
        if built is not None:
            return replace(built, notices=notices)
        found, more = _find(key)
        if found is not None:
            return replace(found, notices=notices)
        reason = more[0] if more else "it was removed at once"
    except (_NotKept, TooLarge) as error:
        reason = str(error)
    values = spare_values(size, np.dtype(dtype))
    return Block(values, fill(values), False, (*notices, f"{title}: not kept for the next run ({reason})"))


def drop_block(key: Mapping[str, Any]) -> bool:
    """Remove the block kept under `key`, if no living process uses it; say whether there is none now."""
    _wait_until_saved(_named(key))
    return remove(block_folder() / _named(key))


class _NotKept(Exception):
    """The cache folder can't take a block; why."""


@contextlib.contextmanager
def _keeping() -> Iterator[None]:
    """Turn the system's refusals to write into the cache folder into _NotKept."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise _NotKept(f"{block_folder()}: {error.strerror}") from None


def _named(key: Mapping[str, Any]) -> str:
    text = json.dumps(key, sort_keys=True, allow_nan=False)
    return f"{key['kind']}-{hashlib.sha256(text.encode()).hexdigest()[:24]}{BLOCK}"


def _find(key: Mapping[str, Any]) -> tuple[Block | None, tuple[str, ...]]:
    """Return the block, or None and what was wrong with the one that was there."""
    path = block_folder() / _named(key)
    _wait_until_saved(path.name)
    try:
        with path.open("rb") as file:
            lock_open_file(file, shared=True, wait=True)  # waits for none but who is removing it
            if not is_at(file, path):
                return None, ()
            try:
                manifest = read_manifest(file)
            except Damaged as damage:
                path.unlink(missing_ok=True)
                return None, (f"what was kept in {path} is damaged ({damage}) and was made anew",)
            values = map_private(file, manifest["size"], np.dtype(manifest["dtype"]))
    except OSError:
        return None, ()  # there is none; or building one meets the reason again, and says it
    with contextlib.suppress(OSError):
        os.utime(path)  # when it was last used, which decides what is removed first
    return Block(values, manifest["meta"]), ()


def _build(name: str, about: dict[str, Any], fill: Fill, say: Say | None) -> Block | None:
    """Fill a block and keep it, unless another process has done so meanwhile.

    Return it when it is large and still on its way to the disk, None when it is there to be found."""
    if os.name == "nt":
        raise _NotKept("Windows can't rename a file that is open")
    size, dtype = about["size"], np.dtype(about["dtype"])
    num_bytes = size * dtype.itemsize
    with _keeping():
        path = block_folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_room(num_bytes)
        file = _own_part(path, about["title"], say)
    if file is None:
        return None
    block = None
    try:
        with _keeping():
            allocate(file, num_bytes)
        meta = fill(map_for_writing(file, size, dtype))
        manifest = about | {"meta": meta, "created": time.time()}
        if num_bytes < BEHIND_BYTES:
            with _keeping(), file:
                _save(file, path, manifest, num_bytes)
        else:
            with _keeping():
                block = Block(map_private(file, size, dtype), meta)
            _save_behind(file, path, manifest, num_bytes)
    except BaseException:
        path.with_suffix(PART).unlink(missing_ok=True)
        file.close()
        raise
    return block


def _save(file: BinaryIO, path: Path, manifest: dict[str, Any], num_bytes: int) -> None:
    """Bring a part to the disk and give it its name."""
    close_block(file, manifest, num_bytes)
    # renamed under the lock that keeps all others out: changing its kind lets go of it for a moment
    os.replace(path.with_suffix(PART), path)
    lock_open_file(file, shared=True, wait=True)
    sync_folder(path.parent)


def _save_behind(file: BinaryIO, path: Path, manifest: dict[str, Any], num_bytes: int) -> None:
    """Do the same in a thread, for whose end the process waits at its own.

    A disk that refuses leaves nothing for the next run; this one has its values, in a file without a name."""

    def save() -> None:
        with file:
            try:
                _save(file, path, manifest, num_bytes)
            except OSError:
                path.with_suffix(PART).unlink(missing_ok=True)

    thread = threading.Thread(target=save, name="netwright-cache")
    _saving[path.name] = thread
    thread.start()


def _wait_until_saved(name: str) -> None:
    thread = _saving.pop(name, None)
    if thread is not None:
        thread.join()


def _own_part(path: Path, title: str, say: Say | None) -> BinaryIO | None:
    """Return the part file of a block, locked for us alone; or None when the block is there by now.

    Of a builder that was killed the lock has fallen: its part is ours, and is emptied. One that is done keeps its block
    locked, for readers too, as long as it lives: so waiting ends when the block is there, or when the part is gone
    because its disk refused."""
    part = path.with_suffix(PART)
    told = False
    while True:
        file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        ours = lock_open_file(file, shared=False, wait=False)
        if not ours and say is not None and not told:
            say(f"{title}: another process is at it; waiting for it")
            told = True
        while not ours and not path.exists() and is_at(file, part):
            time.sleep(WAIT_SECONDS)
            ours = lock_open_file(file, shared=False, wait=False)
        there = path.exists()
        if ours and not there and is_at(file, part):
            return file
        if ours and there and is_at(file, part):  # made anew by us, a moment too late
            part.unlink()
        file.close()
        if there:
            return None


def spare_values(size: int, dtype: np.dtype[Any], in_memory_bytes: int | None = None) -> Values:
    """Return zeros (size,) in memory, from `in_memory_bytes` (2 GiB) on in a mapped file gone with the process.

    Where no disk has room for it they lie in memory up to 2 GiB. Raises MachineError above."""
    num_bytes = size * dtype.itemsize
    most = IN_MEMORY_BYTES if in_memory_bytes is None else in_memory_bytes
    folder = Path(tempfile.gettempdir())
    for place in (block_folder(), folder) if num_bytes >= most else ():
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                allocate(file, num_bytes)
                return map_for_writing(file, size, dtype)
        except OSError:
            continue
    if num_bytes < IN_MEMORY_BYTES:
        return np.zeros(size, dtype)
    with explained(folder, num_bytes):
        raise OSError(errno.ENOSPC, "no space")
