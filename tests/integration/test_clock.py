"""The system's clock is set back or jumps about: nothing is decided by it, and nothing is taken for unchanged by it."""

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import numpy as np
import platformdirs
import pytest
from PIL import Image

import netwright as nw
from netwright.files.sealed import read_sealed
from netwright.runs.equality import compare_runs
from netwright.workflows.sitting import Watcher

TEN_YEARS = 10 * 365 * 24 * 3600.0
WORDS = ["--model", "linear", "--epochs", 3, "--threads", 1, "--device", "cpu", "--quiet"]
Shell = Callable[..., Any]
Jump = Callable[[float], None]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Return a function that sets the wall clock of this process so many seconds forward, or back."""
    shift = [0.0]
    seconds, nanoseconds = time.time, time.time_ns

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(seconds=shift[0])

    monkeypatch.setattr(time, "time", lambda: seconds() + shift[0])
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + int(shift[0] * 1e9))
    for name, module in list(sys.modules.items()):
        if name.startswith("netwright") and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", Shifted)

    def move(by: float) -> None:
        shift[0] += by

    return move


def set_back(folder: Path, jump: Jump) -> None:
    """Set the clock back by ten years: what was written before is of the future now."""
    jump(-TEN_YEARS)
    for place in (folder, Path(platformdirs.user_cache_dir("netwright", appauthor=False))):
        for path in [*place.rglob("*"), place] if place.exists() else []:
            found = path.stat(follow_symlinks=False)
            os.utime(path, (found.st_atime + TEN_YEARS, found.st_mtime + TEN_YEARS), follow_symlinks=False)


def write_pictures(folder: Path) -> None:
    for number in range(24):
        path = folder / ("cat" if number % 2 else "dog") / f"{number}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)).save(path)


def test_a_clock_that_jumps_at_every_step_changes_nothing(
    tmp_path: Path, jump: Jump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the allowed time nor the seconds between checkpoints nor those of the history are by the wall clock."""
    training = {"epochs": 3, "batch_size": 100, "max_minutes": 30, "checkpoint_seconds": 0}
    settings: dict[str, Any] = {"model": "linear", "quiet": True, "runtime": {"threads": 1, "device": "cpu"}}
    nw.train("digits", out=tmp_path / "plain", training=training, **settings)
    plain, jumps = Watcher.step, iter([TEN_YEARS, -2 * TEN_YEARS, -3600.0, TEN_YEARS, 1e-3] * 10)

    def step(self: Watcher, done: int, total: int, num_samples: int) -> None:
        jump(next(jumps))
        plain(self, done, total, num_samples)

    monkeypatch.setattr(Watcher, "step", step)
    run = nw.train("digits", out=tmp_path / "jumped", training=training, **settings)
    assert compare_runs(tmp_path / "plain", run.path) == []
    assert run.result()["stopped_by"] == "epochs"
    assert all(0 <= record["train_seconds"] < 60 and record["val_seconds"] >= 0 for record in run.history)
    assert 0 < run.result()["seconds"] < 60


def test_a_run_goes_on_after_the_clock_was_set_back(
    shell: Shell, tmp_path: Path, jump: Jump, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "pictures")
    assert shell("train", "pictures", *WORDS, "--out", "plain").code == 0
    plain, steps = Watcher.step, []

    def step(self: Watcher, done: int, total: int, num_samples: int) -> None:
        plain(self, done, total, num_samples)
        steps.append(done)
        self.switch.on = len(steps) == 2

    monkeypatch.setattr(Watcher, "step", step)
    assert shell("train", "pictures", *WORDS, "--out", "run").code == 5
    (tmp_path / "run" / ".lock-owner").write_text("process 1 on elsewhere since 2099-01-01 00:00:00 UTC")
    set_back(tmp_path, jump)
    assert shell("resume", "run", "--quiet").code == 0
    assert compare_runs(tmp_path / "plain", tmp_path / "run") == []
    began = read_sealed(tmp_path / "run" / "environment.json")
    assert began["resumed"][-1]["started"] < began["started"]
    for words in (["runs"], ["runs", "show", "run"], ["cache"], ["evaluate", "run"], ["report", "run"]):
        said = shell(*words)
        assert said.code == 0, said.err
    assert shell("train", "digits", *WORDS).code == 0
    assert shell("train", "digits", *WORDS).code == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["digits-1", "digits-2"]


def test_a_changed_file_is_seen_whatever_its_time(shell: Shell, tmp_path: Path, jump: Jump) -> None:
    """As large as before, its time put back: the time of its last change, which no program can set, tells."""
    write_pictures(tmp_path / "pictures")
    old = time.time() - TEN_YEARS
    for path in (tmp_path / "pictures").rglob("*.bmp"):
        os.utime(path, (old, old))
    time.sleep(2.1)  # what was just written is not remembered at all
    assert shell("train", "pictures", *WORDS, "--out", "run").code == 0
    path = tmp_path / "pictures" / "cat" / "3.bmp"
    size = path.stat().st_size
    Image.fromarray(np.random.default_rng(99).integers(0, 256, (8, 8), np.uint8)).save(path)
    os.utime(path, (old, old))
    assert path.stat().st_size == size
    jump(-TEN_YEARS)
    said = shell("resume", "run", "--epochs", 4)
    assert said.code == 2
    assert "  1 changed: cat/3.bmp" in said.err
