"""The ledger of test-set looks: append-only, by the test split's fingerprint, in the user's state and in every run.

A look is counted where it is in either copy. One line is one network judged; the lines of a series (`--seeds 5 --test`)
are one look together. Each copy is read, completed from the other and appended to under one lock, which the kernel
drops when a process dies. Each line has a seal: one that does not match it is left out and told of, but for a last one
that a kill has torn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock

from netwright.errors import listed
from netwright.files.atomic import append_line, explained, make_folders
from netwright.files.folders import state_folder
from netwright.files.sealed import read_line, sealed_line

Look = dict[str, Any]


@dataclass(frozen=True)
class Looks:
    """How often a test split was looked at, by how many different networks, and what is wrong with the ledgers."""

    number: int
    networks: int
    notices: list[str] = field(default_factory=list)


def record_look(
    run: Path,
    fingerprint: str,
    *,
    numbers: Mapping[str, float | None],
    recipe: str,
    weights: str,
    series: str | None = None,
    remembered: int = 0,
) -> Looks:
    """Note that the test split with this fingerprint was looked at; return how many looks there have been.

    `numbers` is the metric that stands for all, by its name; `recipe` and `weights` are SHA-256; `series` names the
    series that this is one network of; `remembered` is the count that the run's own metrics know of. Raises
    MachineError when a copy can't be written: an unrecorded look is none."""
    now = datetime.now(UTC)
    look: Look = {"time": _text(now), "run": str(run.resolve()), "recipe": recipe, "weights": weights, **numbers}
    look |= {"test": fingerprint} | ({"series": series} if series else {})
    of_user, of_run = _copies(run, fingerprint)
    with explained(of_user, 500):
        make_folders(of_user.parent)
        with FileLock(of_user.with_suffix(".lock")):
            read = [_read(path, fingerprint) for path in (of_user, of_run)]
            copies = [found for found, _ in read]
            notices = [notice for _, notice in read if notice] + _missing(copies[0], copies[1], run, weights)
            known = {_key(one): one for copy in copies for one in copy}
            while _key(look) in known:  # the clock stands still or was set back; a look is never another one
                now += timedelta(microseconds=1)
                look["time"] = _text(now)
            known[_key(look)] = look
            for path, copy in zip((of_user, of_run), copies, strict=True):
                there = {_key(one) for one in copy}
                for key in sorted(known):  # also those that only the other copy has: losing one of them loses nothing
                    if key not in there:
                        append_line(path, sealed_line(known[key]))
    number = count_looks(known.values())
    if remembered >= number:
        notices.append(
            f"metrics.json says that there had been {remembered} looks, and the ledgers have {number - 1}: both were "
            "deleted or cut"
        )
        number = remembered + 1
    return Looks(number, len({one.get("series") or one["weights"] for one in known.values()}), notices)


def count_looks(looks: Any) -> int:
    """Count looks, those of one series as one."""
    return len({look.get("series") or _key(look) for look in looks})


def looks(run: Path, fingerprint: str) -> list[Look]:
    """Return the looks at a test split, the union of the user's ledger and the run's copy, oldest first."""
    found = {_key(look): look for path in _copies(run, fingerprint) for look in _read(path, fingerprint)[0]}
    return [found[key] for key in sorted(found)]


def _missing(of_user: list[Look], of_run: list[Look], run: Path, weights: str) -> list[str]:
    """Say what one copy has and the other should have too. Looks of other runs need not be in this run's copy."""
    notices = []
    users, runs = {_key(look) for look in of_user}, {_key(look) for look in of_run}
    lost = len(runs - users)
    if lost:
        notices.append(
            f"your own ledger lacked {_counted(lost)} that this run's copy has: it was deleted, or the run comes from "
            "another machine; they were put back"
        )
    own = [look for look in of_user if look["weights"] == weights or look["run"] == str(run.resolve())]
    lost = sum(_key(look) not in runs for look in own)
    if lost:
        notices.append(
            f"this run's ledger.jsonl lacked {_counted(lost)} at this network that your own ledger has: it was "
            "deleted, the folder was copied before, or the same training was made twice; they were put back"
        )
    return notices


def _counted(number: int) -> str:
    return f"{number} look{'' if number == 1 else 's'}"


def _text(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")


def _key(look: Look) -> str:
    return f"{look['time']} {look['run']}"


def _read(path: Path, fingerprint: str) -> tuple[list[Look], str]:
    """Return one copy's looks, and what is to be said of damaged lines."""
    if not path.exists():
        return [], ""
    found, damaged = [], []
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    for place, line in enumerate(lines):
        try:
            look = read_line(line)
            if look["test"] == fingerprint:
                found.append(look)
        except ValueError:
            if line.endswith("}") and place < len(lines) - 1:  # else a kill tore it
                damaged.append(place + 1)
    where = f"{path} is damaged: line{'s' * (len(damaged) > 1)} {listed(damaged)} can't be read, and what the other "
    return found, where + "copy does not have of them is lost" if damaged else ""


def _copies(run: Path, fingerprint: str) -> tuple[Path, Path]:
    return state_folder() / "ledger" / f"{fingerprint}.jsonl", run / "ledger.jsonl"
