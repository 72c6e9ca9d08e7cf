"""Every exit code of the documentation, each brought about for real."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import netwright
from netwright.files.lock import folder_lock
from netwright.workflows.sitting import Watcher

Shell = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
TRAIN = ["train", "digits", "--model", "linear", "--threads", 1, "--device", "cpu", "--quiet", "--epochs", 2]


def documented() -> set[int]:
    """The codes in the table of docs/command-line.md."""
    table = PAGE.read_text(encoding="utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    return {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}


def done(shell: Shell, patch: pytest.MonkeyPatch) -> Any:
    return shell(*TRAIN, "--out", "run")


def bug(shell: Shell, patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(Watcher, "step", lambda *arguments: 1 / 0)
    said = shell(*TRAIN, "--out", "run")
    assert "bug in netwright" in said.err
    assert "ZeroDivisionError" in Path("run/log.txt").read_text(encoding="utf-8")
    return said


def bad_input(shell: Shell, patch: pytest.MonkeyPatch) -> Any:
    return shell("train", "no-such-data")


def in_use(shell: Shell, patch: pytest.MonkeyPatch) -> Any:
    assert shell(*TRAIN, "--out", "run").code == 0
    with folder_lock(Path("run")):
        said = shell("resume", "run", "--epochs", 3)
    assert "the folder run is in use by process " in said.err
    return said


def interrupted(shell: Shell, patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(Watcher, "stop_requested", lambda self: True)
    said = shell(*TRAIN, "--out", "run")
    patch.undo()
    assert "netwright resume run" in said.err
    return said


def not_finite(shell: Shell, patch: pytest.MonkeyPatch) -> Any:
    return shell(*TRAIN, "--optimizer", "sgd", "--lr", 1e38, "--out", "run")


WAYS = {0: done, 1: bug, 2: bad_input, 4: in_use, 5: interrupted, 6: not_finite}


def test_each_is_documented_and_belongs_to_an_error() -> None:
    assert documented() == set(WAYS)
    errors = [each for each in vars(netwright.errors).values() if isinstance(each, type)]
    assert {each.exit_code for each in errors if issubclass(each, netwright.errors.NetwrightError)} == {1, 2, 4, 5, 6}


@pytest.mark.parametrize("code", WAYS)
def test_each_comes_about(code: int, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    said = WAYS[code](shell, monkeypatch)
    assert said.code == code, said.err
    assert "Traceback" not in said.err
    assert bool(said.err) is (code != 0)
