"""Command lines run in this process or in one of their own, each in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import netwright
from netwright.cli.main import run

SOURCE = str(Path(netwright.__file__).parents[1])


@dataclass(frozen=True)
class Said:
    """What a command line printed and its exit code."""

    code: int
    out: str
    err: str


Shell = Callable[..., Said]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run command lines, given as words, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Said:
        capsys.readouterr()
        code = run([str(word) for word in words])
        shown = capsys.readouterr()
        return Said(code, shown.out, shown.err)

    return call


@pytest.fixture
def start(tmp_path: Path) -> Callable[[Sequence[object]], subprocess.Popen[str]]:
    """Start `python -m netwright …` in a process of its own."""

    def begin(words: Sequence[object]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "netwright", *map(str, words)],
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": SOURCE},
        )

    return begin


@pytest.fixture(scope="module", autouse=True)
def without_plots(no_plots: None) -> None:
    """Run this room's tests without plots."""
