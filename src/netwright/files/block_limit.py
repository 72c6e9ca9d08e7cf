"""How much the kept blocks may take: the limit, what is there, what goes first, what killed processes left behind."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from netwright.files.atomic import explained, write_json
from netwright.files.block_file import Damaged, read_manifest
from netwright.files.lock import lock_open_file

DEFAULT_LIMIT_BYTES = 20 * 2**30
BLOCK, PART, INDEX = ".block", ".part", ".facts"


class TooLarge(Exception):
    """A block that does not fit under the limit, whatever is removed."""


@dataclass(frozen=True)
class Entry:
    """A kept block: `used` is when it was opened last (seconds since 1970); the `manifest` of a damaged one is None."""

    path: Path
    num_bytes: int
    used: float
    manifest: dict[str, Any] | None


def block_folder() -> Path:
    """Return the folder of the kept blocks; it need not be there."""
    return Path(platformdirs.user_cache_dir("netwright", appauthor=False)) / "store"


def limit_bytes() -> int:
    """Return how much the blocks may take together: as set, else 20 GiB or half of the disk's room if that is less.

    The room is what is free and what blocks take already."""
    try:
        return int(json.loads((block_folder() / "settings.json").read_text())["limit_bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return min(DEFAULT_LIMIT_BYTES, _room() // 2)


def _room() -> int:
    folder = next(path for path in (block_folder(), *block_folder().parents) if path.exists())
    return shutil.disk_usage(folder).free + sum(path.stat().st_size for path in _files(BLOCK))


def set_limit(num_bytes: int) -> None:
    """Set the limit for all later runs and remove what is over it now. Raises MachineError where it can't be kept."""
    with explained(block_folder(), 0):
        block_folder().mkdir(parents=True, exist_ok=True)
    write_json(block_folder() / "settings.json", {"limit_bytes": num_bytes})
    _evict(num_bytes)


def entries() -> list[Entry]:
    """Return what is kept, the one used last first. Reads descriptions only, no values."""
    found = []
    for path in _files(BLOCK):
        try:
            with path.open("rb") as file:
                try:
                    manifest = read_manifest(file, values=False)
                except (Damaged, ValueError):
                    manifest = None
                status = os.fstat(file.fileno())
        except OSError:
            continue  # removed by another process between the listing and now
        found.append(Entry(path, status.st_size, status.st_mtime, manifest))
    return sorted(found, key=lambda entry: -entry.used)


def make_room(num_bytes: int) -> None:
    """Remove leftovers, then the blocks that were not used for longest, until so many bytes fit under the limit.

    Raises TooLarge when they don't even so: blocks in use stay."""
    sweep()
    limit, room = limit_bytes(), _room()
    needs = f"it takes {num_bytes / 1e9:.2g} GB"
    if num_bytes > limit:
        raise TooLarge(f"{needs} and the limit is {limit / 1e9:.2g} GB: netwright cache --limit")
    if num_bytes > room:
        raise TooLarge(f"{needs} and the disk has {room / 1e9:.2g} GB: free some")
    most = min(limit, room) - num_bytes
    if _evict(most) > most:
        raise TooLarge(f"{needs} and what other runs use leaves too little of {limit / 1e9:.2g} GB: cache --limit")


def _evict(most: int) -> int:
    """Remove the blocks used least recently until the rest takes at most so many bytes; return what the rest takes."""
    files = sorted(((path.stat(), path) for path in _files(BLOCK)), key=lambda found: found[0].st_mtime)
    taken = sum(status.st_size for status, _ in files)
    for status, path in files:
        if taken <= most:
            break
        if remove(path):
            taken -= status.st_size
    return taken


def sweep() -> None:
    """Remove what builders left that were killed: nobody holds its lock."""
    for path in _files(PART):
        remove(path)


def remove(path: Path) -> bool:
    """Remove a block or part that no living process uses; say whether it is gone."""
    try:
        with path.open("rb") as file:
            if not lock_open_file(file, shared=False, wait=False):
                return False
            path.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def in_use(path: Path) -> bool:
    """Say whether a living process has a block mapped."""
    try:
        with path.open("rb") as file:
            return not lock_open_file(file, shared=False, wait=False)
    except OSError:
        return False


def _files(suffix: str) -> list[Path]:
    folder = block_folder()
    return sorted(path for path in folder.iterdir() if path.suffix == suffix) if folder.is_dir() else []
