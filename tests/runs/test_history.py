"""The history: one JSON line an epoch, what a kill tears is left out, the best record by any number."""

from pathlib import Path

import pytest

from netwright.errors import InputError
from netwright.files.sealed import write_sealed
from netwright.runs.folder import RunFolder
from netwright.runs.history import append_record, best_record, history_of, read_history, rewrite_history

RECORDS = [
    {"epoch": 1, "val_loss": 0.5, "val_accuracy": 0.7, "val_error": 0.3},
    {"epoch": 2, "val_loss": 0.3, "val_accuracy": 0.9, "val_error": 0.1},
    {"epoch": 3, "val_loss": 0.3, "val_accuracy": 0.9, "val_error": 0.1},
    {"epoch": 4, "val_loss": 0.4, "val_accuracy": 0.8, "val_error": 0.2},
]


def test_records_come_back(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert read_history(path) == []
    for record in RECORDS:
        append_record(path, record)
    assert read_history(path) == RECORDS
    assert len(path.read_text().splitlines()) == 4


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_last_line_torn_by_a_kill_is_left_out(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for record in RECORDS:
        append_record(path, record)
    path.write_bytes(path.read_bytes()[:-cut])
    torn = RECORDS if cut == 1 else RECORDS[:3]  # only the newline is missing
    assert read_history(path) == torn


def test_records_after_a_checkpoint_are_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for record in RECORDS:
        append_record(path, record)
    rewrite_history(path, list(RECORDS[:2]))
    append_record(path, RECORDS[2])
    assert read_history(path) == RECORDS[:3]


def test_numbers_that_json_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_record(tmp_path / "history.jsonl", {"val_loss": float("nan")})


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "val_error"])
def test_the_first_of_the_best_is_the_best(monitor: str) -> None:
    best = best_record(RECORDS, monitor)
    assert best is RECORDS[1]


def test_without_the_number_the_last_is_the_best() -> None:
    assert best_record(RECORDS, "val_f1") is RECORDS[3]
    assert best_record([], "val_loss") is None


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_damaged_line_is_named(line: int, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    rewrite_history(path, RECORDS)
    lines = path.read_text().splitlines()
    lines[line] = lines[line].replace("0.", "1.", 1)
    path.write_text("\n".join([*lines, ""]))
    with pytest.raises(InputError, match=rf"history\.jsonl is damaged \(line {line + 1} does not match its seal\)"):
        read_history(path)


def test_a_missing_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    rewrite_history(path, RECORDS)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(InputError, match="line 1 is of epoch 2"):
        read_history(path)


def test_a_history_cut_at_its_end_is_named_where_the_run_is_done(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    rewrite_history(folder.history, RECORDS[:3])
    assert len(history_of(folder)) == 3
    write_sealed(folder.metrics, {"num_epochs": 4})
    write_sealed(folder.state, {"state": "running"})
    assert len(history_of(folder)) == 3
    write_sealed(folder.state, {"state": "done"})
    with pytest.raises(InputError, match="3 of 4 epochs are left"):
        history_of(folder)
