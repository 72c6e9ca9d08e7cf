"""The history: one JSON record an epoch, appended as it happens."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netwright.files.atomic import append_line, write_atomic

Record = dict[str, Any]


def read_history(path: Path) -> list[Record]:
    """Read the records; a last line torn by a kill is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def append_record(path: Path, record: Record) -> None:
    """Add the record of one epoch."""
    append_line(path, json.dumps(record, allow_nan=False))


def rewrite_history(path: Path, records: list[Record]) -> None:
    """Put the history back to what a checkpoint knew: records after it are made again."""
    write_atomic(path, "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode())


def is_better(record: Record, than: Record | None, monitor: str) -> bool:
    """Say whether a record beats another by the monitored number: losses and errors are best when small."""
    if than is None:
        return True
    smaller = monitor.endswith(("loss", "error"))
    return bool(record[monitor] < than[monitor] if smaller else record[monitor] > than[monitor])


def best_record(records: Sequence[Record], monitor: str) -> Record | None:
    """Return the first of the best records by `monitor`; the last record where that was not recorded."""
    best: Record | None = None
    for record in records:
        if monitor not in record or is_better(record, best, monitor):
            best = record
    return best
