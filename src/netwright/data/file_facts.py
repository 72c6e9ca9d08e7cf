"""What is known of image files without decoding them: content digest and header, remembered between runs.

Reading 20,000 photographs to hash them takes as long as decoding a good part of them, so a file that looks untouched
is not read again: same path, size, time of modification, time of change (ctime), inode and device as when it was read,
as git does it. Every write through the file system changes the ctime, which no program can set back; a file that was
changed less than two seconds before it was read is not remembered, since clocks of file systems are that coarse. What
this can't see: writes below the file system (a failing disk, another computer's on a share that keeps no times), and a
clock set back to the very nanosecond. `netwright cache --clear` forgets everything."""

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec

from netwright.data.decode import Header, quiet_pillow, read_header
from netwright.data.decoding import decoder
from netwright.data.file_bytes import Stat, read_file, stat_of
from netwright.data.labelled import FileImages
from netwright.errors import DataError, MachineError
from netwright.files.atomic import write_atomic
from netwright.files.block_limit import INDEX, block_folder

_COARSE_NS = 2 * 10**9
_THREADS = 8
_NO_STAT = Stat(0, 0, 0, 0, 0)
UNREAD = b"\0" * 32
_known: "WeakKeyDictionary[FileImages, list[Fact]]" = WeakKeyDictionary()


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """`digest` is the SHA-256 of the bytes, zeros if the file can't be read; a text as `header` says what is wrong.

    `stat` is how the file was then."""

    stat: Stat
    digest: bytes
    header: Header | str


class _Index(msgspec.Struct):
    """All facts of one folder; `read_by` is the decoder whose headers these are, paths are bytes below the folder."""

    read_by: str
    facts: dict[bytes, Fact]


def file_facts(images: FileImages) -> list[Fact]:
    """Return what is known of each file, in order. Raises DataError for a file that the system fails to read."""
    if images not in _known:
        _known[images] = _look(images.paths)
    return _known[images]


def _look(paths: Sequence[Path]) -> list[Fact]:
    if not paths:
        return []
    names = [os.fsencode(os.path.abspath(path)) for path in paths]
    root = os.path.commonpath(names) if len(names) > 1 else os.path.dirname(names[0])
    names = [name[len(root) :] for name in names]
    place = block_folder() / f"{hashlib.sha256(root).hexdigest()[:24]}{INDEX}"
    known = _load(place)
    settled = time.time_ns() - _COARSE_NS
    with ThreadPoolExecutor(_THREADS) as pool, quiet_pillow():
        found = list(pool.map(lambda pair: _fact(pair[0], known.get(pair[1])), zip(paths, names, strict=True)))
    new = {name: fact for name, fact in zip(names, found, strict=True) if known.get(name) is not fact}
    kept = {name: fact for name, fact in new.items() if fact.digest != UNREAD and max(fact.stat[1:3]) < settled}
    if kept:
        _save(place, known | kept)
    return found


def _fact(path: Path, known: Fact | None) -> Fact:
    try:
        stat = stat_of(path)
        if known is not None and known.stat == stat:
            return known
        content = read_file(path)
        stat = stat if stat == stat_of(path) else Stat(0, 0, time.time_ns(), 0, 0)  # changed under us: not remembered
    except FileNotFoundError:
        return Fact(_NO_STAT, UNREAD, "no such file (any more)")
    except PermissionError:
        return Fact(_NO_STAT, UNREAD, "no permission to read it")
    except DataError as error:
        return Fact(_NO_STAT, UNREAD, str(error))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None
    try:
        header: Header | str = read_header(content)
    except DataError as error:
        header = str(error).removeprefix("the image: ")
    return Fact(stat, hashlib.sha256(content).digest(), header)


def check_unchanged(path: Path, fact: Fact) -> None:
    """Raise DataError when a file is not the one that was looked at when the data were opened."""
    try:
        same = stat_of(path) == fact.stat
    except OSError:
        same = False
    if not same:
        raise DataError(f"{path}: was changed or removed while the data were read; start again")


def _load(place: Path) -> dict[bytes, Fact]:
    try:
        index = msgspec.msgpack.decode(place.read_bytes(), type=_Index)
    except (OSError, msgspec.MsgspecError):
        return {}
    return index.facts if index.read_by == decoder() else {}


def _save(place: Path, facts: dict[bytes, Fact]) -> None:
    """Keep an index; of two processes that do at once the last wins, and the other's files are read once more."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, msgspec.msgpack.encode(_Index(decoder(), facts)))
    except (OSError, MachineError):
        pass  # the next run reads the files again
