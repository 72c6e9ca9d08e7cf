"""The ledger of test-set looks: append-only, by the test split's fingerprint, in the user's state and in every run."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netwright.files.atomic import append_line
from netwright.files.folders import state_folder

Look = dict[str, Any]


def record_look(run: Path, fingerprint: str, accuracy: float, recipe_hash: str) -> int:
    """Note that the test split with this fingerprint was looked at; return how many looks there have been."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    look = {"time": now, "run": str(run.resolve()), "recipe": recipe_hash, "accuracy": accuracy, "test": fingerprint}
    known = [*looks(run, fingerprint), look]
    for path in _copies(run, fingerprint):
        there = {_key(one) for one in _read(path, fingerprint)}
        for one in known:  # also those that only the other copy has: losing one of them loses nothing
            if _key(one) not in there:
                append_line(path, json.dumps(one))
    return len(known)


def looks(run: Path, fingerprint: str) -> list[Look]:
    """Return the looks at a test split, the union of the user's ledger and the run's copy, oldest first."""
    found = {_key(look): look for path in _copies(run, fingerprint) for look in _read(path, fingerprint)}
    return [found[key] for key in sorted(found)]


def _key(look: Look) -> str:
    return f"{look['time']} {look['run']}"


def _read(path: Path, fingerprint: str) -> list[Look]:
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            look = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        if look.get("test") == fingerprint:
            found.append(look)
    return found


def _copies(run: Path, fingerprint: str) -> tuple[Path, Path]:
    folder = state_folder() / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{fingerprint}.jsonl", run / "ledger.jsonl"
