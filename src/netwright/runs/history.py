"""The history: one JSON record an epoch, appended as it happens, each line with a seal of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netwright.errors import InputError
from netwright.files.atomic import append_line, write_atomic
from netwright.files.sealed import read_line, sealed_line
from netwright.runs.folder import RunFolder, read_json

Record = dict[str, Any]


def read_history(path: Path, least: int = 0) -> list[Record]:
    """Read the records; a last line torn by a kill is left out.

    Raises InputError that names the line when one is damaged or missing, or when there are fewer than `least`."""
    if not path.exists():
        return []
    records: list[Record] = []
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    for place, line in enumerate(lines):
        try:
            record = read_line(line)
        except ValueError:
            if place == len(lines) - 1:  # empty after a whole line, else torn
                break
            raise _damaged(path, f"line {place + 1} does not match its seal") from None
        if record.get("epoch", place + 1) != place + 1:
            raise _damaged(path, f"line {place + 1} is of epoch {record['epoch']}")
        records.append(record)
    if len(records) < least:
        raise _damaged(path, f"{len(records)} of {least} epochs are left")
    return records


def history_of(folder: RunFolder) -> list[Record]:
    """Read a run's records; of a run that is done all that its metrics tell of. Raises InputError as `read_history`."""
    done = folder.state.exists() and read_json(folder.state)["state"] == "done"
    least = read_json(folder.metrics).get("num_epochs", 0) if done and folder.metrics.exists() else 0
    return read_history(folder.history, least)


def _damaged(path: Path, how: str) -> InputError:
    return InputError(
        f"{path} is damaged ({how}); restore it from a copy, or let netwright resume {path.parent} write it again from "
        "the checkpoint"
    )


def append_record(path: Path, record: Record) -> None:
    """Add the record of one epoch."""
    append_line(path, sealed_line(record))


def rewrite_history(path: Path, records: list[Record]) -> None:
    """Put the history back to what a checkpoint knew: records after it are made again."""
    write_atomic(path, "".join(sealed_line(record) + "\n" for record in records).encode())


def is_better(record: Record, than: Record | None, monitor: str) -> bool:
    """Say whether a record beats another by the monitored number: losses and errors are best when small."""
    if than is None:
        return True
    smaller = monitor.endswith(("loss", "error", "mae", "rmse"))
    return bool(record[monitor] < than[monitor] if smaller else record[monitor] > than[monitor])


def best_record(records: Sequence[Record], monitor: str) -> Record | None:
    """Return the first of the best records by `monitor`; the last record where that was not recorded."""
    best: Record | None = None
    for record in records:
        if monitor not in record or is_better(record, best, monitor):
            best = record
    return best
