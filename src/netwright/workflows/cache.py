"""`netwright cache`: what is kept of decoded images between runs, how much it may take, clearing it. No torch."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netwright.errors import InputError, listed
from netwright.files.block_limit import INDEX, Entry, block_folder, entries, in_use, limit_bytes, remove, sweep
from netwright.files.block_limit import set_limit as keep_limit

_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SHOWN = 8  # digits of an entry's key; more are needed only among thousands of entries


def list_cache() -> dict[str, Any]:
    """Return folder, limit, bytes in all and the entries, the one used last first. Removes what killed runs left.

    Each entry has `entry` (its name), `title`, `bytes`, `used` and `created` (ISO 8601, UTC), `in_use` and `key`, the
    settings that it was made with; `title`, `created` and `key` are null when its description is damaged. `twins` says
    of how many data sets it is known which images are twins, and what that takes."""
    sweep()
    found = entries()
    return {
        "folder": str(block_folder()),
        "limit_bytes": limit_bytes(),
        "bytes": sum(entry.num_bytes for entry in found),
        "entries": [_described(entry) for entry in found],
        "twins": {"data_sets": len(_twins()), "bytes": sum(path.stat().st_size for path in _twins())},
    }


def clear_cache(name: str | None = None) -> dict[str, Any]:
    """Remove all entries and all that is known of files and twins, or entries whose name or title begins with `name`.

    Returns entries under `removed`, and under `kept` those that a living process has open or that can't be removed.
    Raises InputError when no entry is called so."""
    sweep()
    found = entries()
    chosen = found if name is None else [entry for entry in found if _is_called(entry, name)]
    if name is not None and not chosen:
        raise InputError(f"the cache has no entry {name!r}; it has: {listed(map(_name, found)) or 'none'}")
    gone = {_name(entry): remove(entry.path) for entry in chosen}
    if name is None:
        for index in (*block_folder().glob(f"*{INDEX}"), *_twins()):
            remove(index)
    return {
        "removed": [name for name, removed in gone.items() if removed],
        "kept": [name for name, removed in gone.items() if not removed],
    }


def _twins() -> list[Path]:
    """Return the files that say which images of a data set are twins: some kilobytes each, outside the limit."""
    return sorted((block_folder().parent / "leaks").glob("*.npz"))


def set_limit(text: str) -> int:
    """Set how much the entries may take, from text such as "50GB" or "500 MiB"; return it in bytes.

    Entries over it are removed at once. Raises InputError for what is no size."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?|)b?\s*", text.lower())
    if found is None:
        raise InputError(f"--limit {text!r} is no size; expected a number with B, kB, MB, GB or TB, such as 50GB")
    num_bytes = int(float(found[1]) * _FACTORS[found[2]])
    keep_limit(num_bytes)
    return num_bytes


def _described(entry: Entry) -> dict[str, Any]:
    manifest = entry.manifest or {"title": None, "created": None, "key": None}
    created = manifest["created"]
    return {
        "entry": _name(entry),
        "title": manifest["title"],
        "bytes": entry.num_bytes,
        "used": _time(entry.used),
        "created": None if created is None else _time(created),
        "in_use": in_use(entry.path),
        "key": manifest["key"],
    }


def _name(entry: Entry) -> str:
    kind, _, digest = entry.path.stem.rpartition("-")
    return f"{kind}-{digest[:_SHOWN]}"


def _is_called(entry: Entry, name: str) -> bool:
    title = str(entry.manifest["title"]) if entry.manifest else ""
    return entry.path.stem.startswith(name) or title.startswith(name)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
