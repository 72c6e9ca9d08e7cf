"""What a disk may hold after a power cut, worked out from the moves of a save as they were recorded.

The recorder watches the calls that change a folder or make it durable (mkdir, replace, unlink, rmdir, fsync) and looks
at the whole folder before and after each, so that files made or written between are seen too. From that the model makes
every state that a power cut may leave:

- a move in a folder is durable once that folder was fsynced after it; those after are kept up to any one of them (file
  systems keep the order of one folder's moves), independently of other folders' moves;
- a file's bytes are durable once it was fsynced after they were written; else they may be whole, none, cut, or zeros of
  the right size, which is what delayed allocation leaves."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Move:
    """One change of one folder, whole or not at all: names that are, from now on, of these inodes (None: gone)."""

    folder: int
    names: tuple[tuple[str, int | None], ...]


@dataclass
class Recorder:
    """What happened under `root`, in order: moves of folders, and which inode was fsynced with which bytes."""

    root: Path
    events: list[tuple[str, Any]] = field(default_factory=list)
    kinds: dict[int, str] = field(default_factory=dict)  # inode -> "folder" or "file"
    names: dict[int, dict[str, int]] = field(default_factory=dict)  # by folder, at the last look
    content: dict[int, bytes] = field(default_factory=dict)
    before: tuple[dict[int, dict[str, int]], dict[int, bytes]] = ({}, {})  # names and bytes, all of them durable
    _open: dict[int, int] = field(default_factory=dict)  # so that no inode that was seen is given to another file

    def look(self, *, one_call: bool = False) -> None:
        """Note what has changed since the last look: names, then bytes. What `one_call` did is whole or not at all."""
        names, content = self._look()
        for folder in sorted({*names, *self.names}):
            before, after = self.names.get(folder, {}), names.get(folder, {})
            changed = [
                (name, after.get(name)) for name in sorted({*before, *after}) if before.get(name) != after.get(name)
            ]
            moves = [tuple(changed)] if one_call and changed else [(change,) for change in changed]
            self.events += [("move", Move(folder, move)) for move in moves]
        for inode, octets in content.items():
            if self.content.get(inode) != octets:
                self.events.append(("write", (inode, octets)))
        self.names, self.content = names, content

    def _look(self) -> tuple[dict[int, dict[str, int]], dict[int, bytes]]:
        folders: dict[int, dict[str, int]] = {}
        content: dict[int, bytes] = {}
        for place, _, files in os.walk(self.root):
            folders[self._inode(place, "folder")] = {
                name: os.stat(Path(place, name)).st_ino for name in os.listdir(place)
            }
            content |= {self._inode(Path(place, name), "file"): Path(place, name).read_bytes() for name in files}
        return folders, content

    def _inode(self, path: Path | str, kind: str) -> int:
        inode = os.stat(path).st_ino
        if inode not in self._open:
            self._open[inode], self.kinds[inode] = os.open(path, os.O_RDONLY), kind
        return inode

    def close(self) -> None:
        for handle in self._open.values():
            os.close(handle)


@contextlib.contextmanager
def recorded(root: Path, patch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Record what the block does to the folder `root`."""
    recorder = Recorder(root)
    recorder.look()
    recorder.events.clear()
    recorder.before = dict(recorder.names), dict(recorder.content)

    def watch(module: Any, name: str) -> None:
        plain = getattr(module, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            recorder.look()
            if name == "fsync":
                recorder.events.append(("fsync", os.fstat(arguments[0]).st_ino))
            result = plain(*arguments, **named)
            recorder.look(one_call=True)
            return result

        patch.setattr(module, name, watched)

    for name in ("mkdir", "replace", "rename", "unlink", "remove", "rmdir", "fsync", "link"):
        watch(os, name)
    try:
        yield recorder
        recorder.look()
    finally:
        patch.undo()
        recorder.close()


@dataclass
class Crash:
    """A state of the disk: names by folder, bytes by file."""

    folders: dict[int, dict[str, int]]
    content: dict[int, bytes]

    def build(self, target: Path, root: int, kinds: dict[int, str]) -> None:
        """Make the state real in a folder that is emptied first."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name, inode in self.folders.get(root, {}).items():
            if kinds[inode] == "folder":
                self.build(target / name, inode, kinds)
            else:
                (target / name).write_bytes(self.content.get(inode, b""))


def crashes(recorder: Recorder) -> Iterator[tuple[int, Crash]]:
    """Yield (number of events that had happened, a state that a power cut then may leave)."""
    for happened in range(len(recorder.events) + 1):
        yield from ((happened, crash) for crash in _after(recorder.events[:happened], *recorder.before))


def _after(
    events: list[tuple[str, Any]], names: dict[int, dict[str, int]], content: dict[int, bytes]
) -> Iterator[Crash]:
    durable = {folder: dict(inner) for folder, inner in names.items()}
    written, safe = dict(content), dict(content)
    pending: dict[int, list[Move]] = {}
    for kind, what in events:
        if kind == "move":
            pending.setdefault(what.folder, []).append(what)
        elif kind == "write":
            written[what[0]] = what[1]
        else:  # of a folder its moves, of a file its bytes
            for move in pending.pop(what, []):
                _apply(durable.setdefault(what, {}), move)
            if what in written:
                safe[what] = written[what]
    unsafe = [inode for inode, octets in written.items() if safe.get(inode) != octets]
    # a state is how many of each folder's last moves were kept, and what became of bytes that were not fsynced
    for kept in itertools.product(*(range(len(moves) + 1) for moves in pending.values())):
        folders = {folder: dict(inner) for folder, inner in durable.items()}
        for (folder, moves), count in zip(pending.items(), kept, strict=True):
            for move in moves[:count]:
                _apply(folders.setdefault(folder, {}), move)
        for damage in (None, "empty", "cut", "garbage") if unsafe else (None,):
            yield Crash(folders, safe | {inode: _damaged(written[inode], damage) for inode in unsafe})


def _apply(names: dict[str, int], move: Move) -> None:
    for name, inode in move.names:
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


def _damaged(octets: bytes, how: str | None) -> bytes:
    """Return bytes that were written and not fsynced, as a disk may have them."""
    if how is None:
        return octets
    return {"empty": b"", "cut": octets[: len(octets) // 2], "garbage": bytes(len(octets))}[how]
