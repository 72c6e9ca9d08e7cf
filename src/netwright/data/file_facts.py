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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from weakref import WeakKeyDictionary

import msgspec

from netwright.data.decode import Header, quiet_pillow, read_header
from netwright.data.decoding import decoder
from netwright.data.facts import UNREAD, Columns, Fact, Facts
from netwright.data.file_bytes import Stat, read_file, stat_of
from netwright.data.labelled import FileImages
from netwright.data.texts import Paths
from netwright.errors import DataError, MachineError
from netwright.files.atomic import write_atomic
from netwright.files.block_limit import INDEX, block_folder

_COARSE_NS = 2 * 10**9
_THREADS = 8
_TRIED, _QUICK_SECONDS = 16, 0.0003
_NO_STAT = Stat(0, 0, 0, 0, 0)
_BLOCK = 4096
_known: "WeakKeyDictionary[FileImages, Facts]" = WeakKeyDictionary()


class _Index(msgspec.Struct):
    """All facts of one folder; `read_by` is the decoder whose headers these are, names are bytes below the folder."""

    read_by: str
    names: list[bytes]
    columns: Columns


def file_facts(images: FileImages) -> Facts:
    """Return what is known of each file, in order. Raises DataError for a file that the system fails to read."""
    if images not in _known:
        _known[images] = _look(images.paths)
    return _known[images]


def _look(paths: Paths) -> Facts:
    if not len(paths):
        return Facts()
    root, names = _below(paths)
    place = block_folder() / f"{hashlib.sha256(root).hexdigest()[:24]}{INDEX}"
    known, known_facts = _load(place)
    settled = time.time_ns() - _COARSE_NS
    found, new = Facts(), []

    def look(row: int) -> tuple[Fact, bool]:
        kept = known_facts[known[names[row]]] if names[row] in known else None
        fact = _fact(paths[row], kept)
        return fact, fact is not kept and fact.digest != UNREAD and max(fact.stat[1:3]) < settled

    with quiet_pillow():
        # in blocks: what waits in a pool takes more memory than what is found
        for start in range(0, len(names), _BLOCK):
            rows = range(start, min(start + _BLOCK, len(names)))
            for row, (fact, is_new) in zip(rows, _looked_at(rows, look), strict=True):
                found.add(fact)
                new += [row] if is_new else []
    for row in new:
        if names[row] not in known:
            known[names[row]] = len(known_facts)
            known_facts.add(found[row])
        known_facts.put(known[names[row]], found[row])
    if new:
        _save(place, known, known_facts)
    return found


def _looked_at(rows: range, look: Callable[[int], tuple[Fact, bool]]) -> Iterator[tuple[Fact, bool]]:
    """Yield what `look` finds of each row, in order: in threads where the first ones take long.

    A photograph of 40 KB in memory takes 0.14 ms, mostly under the interpreter's lock: threads that hand it to each
    other took two to three times as long on two cores. They help where a disk or large files are waited for."""
    seconds = []
    for row in rows[:_TRIED]:
        begun = time.perf_counter()
        found = look(row)
        seconds.append(time.perf_counter() - begun)
        yield found
    rest = rows[_TRIED:]
    if median(seconds) < _QUICK_SECONDS:
        yield from map(look, rest)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(look, rest)


def _below(paths: Paths) -> tuple[bytes, list[bytes]]:
    """Return the lowest folder that holds all files, and their names from there on."""
    names = [os.fsencode(os.path.abspath(path)) for path in paths]
    root = os.path.commonpath({os.path.dirname(name) for name in names})
    return root, [name[len(root) :] for name in names]


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


def _load(place: Path) -> tuple[dict[bytes, int], Facts]:
    """Return the place of each name among the facts that are kept."""
    try:
        index = msgspec.msgpack.decode(place.read_bytes(), type=_Index)
        if index.read_by == decoder():
            return {name: row for row, name in enumerate(index.names)}, Facts(index.columns)
    except (OSError, msgspec.MsgspecError, ValueError):
        pass
    return {}, Facts()


def _save(place: Path, names: dict[bytes, int], facts: Facts) -> None:
    """Keep an index; of two processes that do at once the last wins, and the other's files are read once more."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, msgspec.msgpack.encode(_Index(decoder(), list(names), facts.columns())))
    except (OSError, MachineError):
        pass  # the next run reads the files again
