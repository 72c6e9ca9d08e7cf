"""The ledger of test-set looks: append-only, in two copies, the count is their union."""

import json
from pathlib import Path

from netwright.files.folders import state_folder
from netwright.runs.ledger import looks, record_look

TEST = "f" * 64


def ledger_of_user() -> Path:
    return state_folder() / "ledger" / f"{TEST}.jsonl"


def test_every_look_counts(tmp_path: Path) -> None:
    assert looks(tmp_path, TEST) == []
    assert [record_look(tmp_path, TEST, 0.9, "recipe") for _ in range(3)] == [1, 2, 3]
    assert [look["accuracy"] for look in looks(tmp_path, TEST)] == [0.9] * 3


def test_looks_by_other_runs_count(tmp_path: Path) -> None:
    """The test split is used up by whoever looks at it."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    assert record_look(one, TEST, 0.9, "recipe") == 1
    assert record_look(other, TEST, 0.8, "recipe") == 2
    assert record_look(other, "e" * 64, 0.8, "recipe") == 1


def test_a_copied_run_remembers_without_the_users_ledger(tmp_path: Path) -> None:
    """Every run's copy has the looks of the other runs too, so that losing the user's loses nothing."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    record_look(one, TEST, 0.9, "recipe")
    record_look(other, TEST, 0.8, "recipe")
    ledger_of_user().unlink()
    assert len(looks(other, TEST)) == 2
    assert record_look(other, TEST, 0.8, "recipe") == 3
    assert len(ledger_of_user().read_text().splitlines()) == 3


def test_a_lost_copy_in_the_run_is_filled_again(tmp_path: Path) -> None:
    record_look(tmp_path, TEST, 0.9, "recipe")
    (tmp_path / "ledger.jsonl").unlink()
    assert record_look(tmp_path, TEST, 0.9, "recipe") == 2
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 2


def test_nothing_that_was_written_is_changed(tmp_path: Path) -> None:
    record_look(tmp_path, TEST, 0.9, "recipe")
    before = (tmp_path / "ledger.jsonl").read_bytes()
    record_look(tmp_path, TEST, 0.8, "recipe")
    assert (tmp_path / "ledger.jsonl").read_bytes().startswith(before)


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    record_look(tmp_path, TEST, 0.9, "recipe")
    for path in (tmp_path / "ledger.jsonl", ledger_of_user()):
        with path.open("a") as file:
            file.write('{"time": "2026')
    assert len(looks(tmp_path, TEST)) == 1
    assert record_look(tmp_path, TEST, 0.9, "recipe") == 2
    assert len(looks(tmp_path, TEST)) == 2


def test_a_look_says_when_who_and_what(tmp_path: Path) -> None:
    record_look(tmp_path, TEST, 0.9, "recipe")
    look = json.loads((tmp_path / "ledger.jsonl").read_text())
    assert look.keys() == {"time", "run", "recipe", "accuracy", "test"}
    assert look["run"] == str(tmp_path.resolve())
