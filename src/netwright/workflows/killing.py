"""A run in processes of its own, watched from outside and killed at a moment that was drawn before."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Literal

from netwright.errors import MachineError, WorkFailed
from netwright.runs.folder import RunFolder

LOOK_SECONDS = 0.002
MOST_SECONDS = 600.0
Phase = Literal["start", "training", "results"]


@dataclass(frozen=True)
class Moment:
    """When to kill: so far (0 to 1) into a phase, which `start` (imports, decoding), `training` or `results` is."""

    phase: Phase
    fraction: float


@dataclass
class Lengths:
    """How long the phases of the plain run took, in seconds: what fractions of them mean."""

    start: float = 0.0
    training: float = 0.0
    results: float = 0.0


class Processes:
    """Runs the command line on one run, each sitting in a process of its own; nothing of the user's is touched."""

    def __init__(self, scratch: Path, epochs: int) -> None:
        self._scratch, self._epochs = scratch, epochs
        self._started = 0.0
        source = str(Path(__file__).parents[2])
        path = os.pathsep.join(part for part in (source, os.environ.get("PYTHONPATH")) if part)
        kept = {f"XDG_{name}_HOME": str(scratch / name.lower()) for name in ("CACHE", "STATE", "DATA", "CONFIG")}
        self._environment = os.environ | kept | {"PYTHONPATH": path}

    def run(self, run: Path, words: list[str]) -> Lengths:
        """Let a sitting come to its end; return how long its phases took."""
        lengths = Lengths()
        with self._begin(words) as process:
            try:
                self._await_phase(process, "training", run, _mark(run))
                lengths.start = self._passed()
                self._await_phase(process, "results", run, _mark(run))
                lengths.training = self._passed() - lengths.start
                process.wait(MOST_SECONDS)
                lengths.results = self._passed() - lengths.training - lengths.start
            except subprocess.TimeoutExpired:
                raise WorkFailed(f"netwright {words[0]} did not end within {MOST_SECONDS:.0f} s") from None
            finally:
                process.kill()
        self._check(process, words)
        return lengths

    def kill(self, run: Path, words: list[str], moment: Moment, lengths: Lengths) -> float | None:
        """Kill a sitting at its moment, or when the moment's phase is over; return its age, None when it had ended.

        How far a training is, is seen from its epochs: a clock alone is fooled by what else the machine does."""
        before, due = _mark(run), None
        with self._begin(words) as process:
            try:
                while process.poll() is None and self._passed() < MOST_SECONDS:
                    if due is None and self._reached(run, moment, before):
                        due = monotonic() + self._delay(moment, lengths)
                    if self._over(run, moment.phase, before) or (due is not None and monotonic() >= due):
                        break
                    sleep(LOOK_SECONDS)
                age = self._passed()
                killed = process.poll() is None
            finally:
                process.kill()  # SIGKILL; on Windows TerminateProcess, which is as sudden
        if killed and process.returncode not in (None, 0):
            return age
        self._check(process, words)
        return None

    def _reached(self, run: Path, moment: Moment, before: object) -> bool:
        """Say whether the sitting is where its delay begins."""
        if moment.phase == "training":  # that it has saved makes sure that it gets on
            return _mark(run) != before and epochs_done(run) >= int(moment.fraction * self._epochs)
        return moment.phase == "start" or epochs_done(run) >= self._epochs

    def _over(self, run: Path, phase: Phase, before: object) -> bool:
        """Say whether the sitting has left the phase in which it was to be killed."""
        if phase == "start":
            return _mark(run) != before
        return phase == "training" and _mark(run) != before and epochs_done(run) >= self._epochs

    def _delay(self, moment: Moment, lengths: Lengths) -> float:
        """Return how many seconds after `_reached` to kill."""
        if moment.phase == "training":
            return moment.fraction * self._epochs % 1 * lengths.training / self._epochs
        return moment.fraction * float(getattr(lengths, moment.phase))

    def _begin(self, words: list[str]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "netwright", *words, "--quiet"]
        self._started = monotonic()
        with (self._scratch / "said.txt").open("wb") as said:
            return subprocess.Popen(
                command, cwd=self._scratch, env=self._environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    def _passed(self) -> float:
        return monotonic() - self._started

    def _await_phase(self, process: "subprocess.Popen[bytes]", phase: Phase, run: Path, before: object) -> None:
        """Wait until the sitting is in a phase: training when it has saved once, results when all epochs are done."""
        while process.poll() is None and self._passed() < MOST_SECONDS:
            if phase == "start":
                return
            if phase == "training" and _mark(run) != before:
                return
            if epochs_done(run) >= self._epochs:
                return
            sleep(LOOK_SECONDS)

    def _check(self, process: "subprocess.Popen[bytes]", words: list[str]) -> None:
        """Raise what a sitting that failed by itself said."""
        if process.returncode == 0:
            return
        said = (self._scratch / "said.txt").read_text(encoding="utf-8", errors="replace").strip()
        message = f"netwright {words[0]} ended with exit code {process.returncode}: {said[-2000:] or 'it said nothing'}"
        raise MachineError(message) if process.returncode == MachineError.exit_code else WorkFailed(message)


def _mark(run: Path) -> object:
    """Return what changes when the run saves a checkpoint."""
    try:
        found = (RunFolder(run).checkpoints / "current" / "manifest.json").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def epochs_done(run: Path) -> int:
    """Return how many epochs the run's history has."""
    try:
        return RunFolder(run).history.read_bytes().count(b"\n")
    except OSError:
        return 0
