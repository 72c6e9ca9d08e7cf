"""The ledger of test-set looks: append-only, in two copies, the count is their union."""

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self

import pytest

import netwright
from netwright.errors import MachineError
from netwright.files.folders import state_folder
from netwright.runs.ledger import Looks, looks, record_look

TEST = "f" * 64
SOURCE = str(Path(netwright.__file__).parents[1])


def look(run: Path, accuracy: float = 0.9, weights: str = "w", test: str = TEST, **others: object) -> Looks:
    run.mkdir(exist_ok=True)
    return record_look(run, test, numbers={"accuracy": accuracy}, recipe="recipe", weights=weights, **others)  # type: ignore[arg-type]


def ledger_of_user() -> Path:
    return state_folder() / "ledger" / f"{TEST}.jsonl"


def test_every_look_counts(tmp_path: Path) -> None:
    assert looks(tmp_path, TEST) == []
    assert [look(tmp_path) for _ in range(3)] == [Looks(1, 1), Looks(2, 1), Looks(3, 1)]
    assert [each["accuracy"] for each in looks(tmp_path, TEST)] == [0.9] * 3


def test_looks_by_other_runs_count(tmp_path: Path) -> None:
    """The test split is used up by whoever looks at it."""
    assert look(tmp_path / "one") == Looks(1, 1)
    assert look(tmp_path / "other", weights="others") == Looks(2, 2)
    assert look(tmp_path / "other", test="e" * 64).number == 1


def test_a_series_is_one_look(tmp_path: Path) -> None:
    for seed in range(3):
        found = look(tmp_path / str(seed), weights=f"w{seed}", series="five seeds")
    assert found == Looks(1, 1)
    assert look(tmp_path / "later", weights="x") == Looks(2, 2)
    assert len(ledger_of_user().read_text().splitlines()) == 4


def test_a_copied_run_remembers_without_the_users_ledger(tmp_path: Path) -> None:
    """Every run's copy has the looks of the other runs too, so that losing the user's loses nothing."""
    one, other = tmp_path / "one", tmp_path / "other"
    look(one)
    look(other, weights="others")
    ledger_of_user().unlink()
    assert len(looks(other, TEST)) == 2
    found = look(other, weights="others")
    assert found.number == 3
    assert len(found.notices) == 1 and found.notices[0].startswith("your own ledger lacked 2 looks")
    assert len(ledger_of_user().read_text().splitlines()) == 3
    assert look(other, weights="others").notices == []


def test_a_lost_copy_in_the_run_is_noticed_and_filled_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    look(run)
    (run / "ledger.jsonl").unlink()
    found = look(run.rename(tmp_path / "renamed"))
    assert found.number == 2
    assert len(found.notices) == 1 and "ledger.jsonl lacked 1 look at this network" in found.notices[0]
    assert len((tmp_path / "renamed" / "ledger.jsonl").read_text().splitlines()) == 2


def test_a_new_run_lacks_nothing(tmp_path: Path) -> None:
    look(tmp_path / "one")
    assert look(tmp_path / "other", weights="others").notices == []


def test_both_copies_lost_is_noticed_by_the_metrics(tmp_path: Path) -> None:
    look(tmp_path)
    found = look(tmp_path, remembered=4)
    assert found.number == 5
    assert "metrics.json says that there had been 4 looks" in found.notices[0]
    assert look(tmp_path, remembered=2) == Looks(3, 1)


def test_nothing_that_was_written_is_changed(tmp_path: Path) -> None:
    look(tmp_path)
    before = (tmp_path / "ledger.jsonl").read_bytes()
    look(tmp_path, accuracy=0.8)
    assert (tmp_path / "ledger.jsonl").read_bytes().startswith(before)


@pytest.mark.parametrize("torn", [b'{"time": "2026', b"[]", b"\xff\xfe", b'{"test": "' + TEST.encode() + b'"}'])
def test_a_torn_line_is_left_out(torn: bytes, tmp_path: Path) -> None:
    look(tmp_path)
    for path in (tmp_path / "ledger.jsonl", ledger_of_user()):
        with path.open("ab") as file:
            file.write(torn)
    assert len(looks(tmp_path, TEST)) == 1
    assert look(tmp_path).number == 2
    assert len(looks(tmp_path, TEST)) == 2


def test_a_look_says_when_who_and_what(tmp_path: Path) -> None:
    look(tmp_path)
    found = json.loads((tmp_path / "ledger.jsonl").read_text())
    assert found.keys() == {"time", "run", "recipe", "weights", "accuracy", "test", "seal"}
    assert found["run"] == str(tmp_path.resolve())


def test_a_ledger_that_cannot_be_written_refuses_the_look(tmp_path: Path) -> None:
    (state_folder() / "ledger").mkdir()
    ledger_of_user().mkdir()
    with pytest.raises((MachineError, IsADirectoryError)):
        look(tmp_path)
    assert not (tmp_path / "ledger.jsonl").exists()


LOOKING = f"""
import sys
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self
from netwright.runs.ledger import record_look
run, times = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
for _ in range(times):
    record_look(run, {TEST!r}, numbers={{"accuracy": 0.5}}, recipe="r", weights=run.name)
"""


def process(run: Path, times: int) -> subprocess.Popen[str]:
    run.mkdir()
    environment = os.environ | {"PYTHONPATH": SOURCE}
    line = [sys.executable, "-c", LOOKING, str(run), str(times)]
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True)


def test_processes_at_once_lose_no_look(tmp_path: Path) -> None:
    running = [process(tmp_path / name, 12) for name in ("one", "other")]
    assert [each.wait(60) for each in running] == [0, 0]
    assert len(looks(tmp_path / "one", TEST)) == 24
    lines = ledger_of_user().read_text().splitlines()
    assert len({json.loads(line)["time"] + json.loads(line)["run"] for line in lines}) == len(lines) == 24


def test_a_kill_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    killed = process(tmp_path / "killed", 100_000)
    assert killed.stdout is not None
    killed.stdout.readline()
    while not ledger_of_user().exists() or ledger_of_user().stat().st_size < 2000:
        assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    before = len(looks(tmp_path / "killed", TEST))
    assert before >= 3
    assert look(tmp_path / "killed").number == before + 1  # the lock fell with the process


def test_looks_at_one_instant_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands still, or was set back to the very microsecond of another look, hides none."""

    class Still(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(2026, 1, 1, 12, tzinfo=tz)

    monkeypatch.setattr("netwright.runs.ledger.datetime", Still)
    assert [look(tmp_path, accuracy).number for accuracy in (0.8, 0.9, 0.7)] == [1, 2, 3]
    assert [each["accuracy"] for each in looks(tmp_path, TEST)] == [0.8, 0.9, 0.7]
