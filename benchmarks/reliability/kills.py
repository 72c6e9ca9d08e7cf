"""Figure 1: SIGKILL at random moments of training runs, each resumed until done, compared with the run left alone.

    python -m benchmarks.reliability.kills --weights FILE [--kills 200] [--fresh 20] [--seed N] [--add]

A kill falls into a phase drawn at random (imports, decoding, the leak gate, …, writing the report), into one of the
times that the phase is entered, at a random point of it. `--fresh` of the kills hit processes started as a user starts
them, at any moment from their first instruction; the others hit forks of a process that has imported everything.
FILE is a state dict of torchvision's squeezenet1_1. With `--add` the kills are added to those that were kept before: so
200 can be made in several sittings, each with a seed of its own."""

import argparse
import itertools
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.reliability.forkserver import Ended, ForkServer, Kill
from benchmarks.reliability.phases import NAMES
from benchmarks.reliability.recipes import write_recipes
from benchmarks.reliability.results import keep, kept
from netwright.runs.equality import compare_runs

MOST_KILLS_OF_A_RUN = 4
WITH_PICTURES = ("plots", "report")  # phases that need matplotlib and the page: four times as long as all others
SPARED = ("decode", "gate", "features")  # phases that have nothing to do when the cache holds what they make


@dataclass
class Tally:
    """What has happened so far."""

    kills: Counter[str] = field(default_factory=Counter)  # by recipe and phase
    runs: int = 0
    equal: int = 0
    too_late: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        return sum(self.kills.values())


class Killer:
    """Trains, kills, resumes and compares the runs of one recipe."""

    def __init__(self, server: ForkServer, scratch: Path, name: str, recipe: Path, draws: random.Random) -> None:
        self._server, self._scratch, self._name, self._draws = server, scratch, name, draws
        self._plain = scratch / f"{name}-plain"
        ended = server.command("train", recipe, "--out", self._plain, "--quiet")
        assert ended.code == 0, ended.said
        self._phases = dict(ended.phases)
        self._recipe = self._plain / "recipe.yaml"
        started = time.monotonic()
        again = scratch / f"{name}-again"
        assert subprocess.run(self._fresh_words(again), env=self._environment(), check=False).returncode == 0
        self._fresh_seconds = time.monotonic() - started
        found = compare_runs(self._plain, again)
        assert not found, f"two runs that were left alone differ: {found}"

    def run_one(self, tally: Tally, wanted: int, fresh: bool) -> None:
        """Kill one run up to `wanted` times, resume it to its end, compare."""
        run = self._scratch / f"{self._name}-killed"
        shutil.rmtree(run, ignore_errors=True)
        done, moments = False, []
        for _ in range(wanted):
            killed = self._kill_fresh(run) if fresh else self._kill_fork(run)
            if killed is None:
                tally.too_late += 1
                done = True
                break
            tally.kills[f"{self._name}: {killed}"] += 1
            moments.append(killed)
        if not done:
            ended = self._sitting(run)
            if ended.code != 0:
                tally.differences.append(
                    f"{self._name}, killed in {moments}: exit code {ended.code}: {ended.said[-500:]}"
                )
        tally.runs += bool(moments)  # one that was through before its first kill proves nothing
        found = compare_runs(self._plain, run)
        tally.equal += bool(moments) and not found
        tally.differences += [f"{self._name}, killed in {moments}: {text}" for text in found]

    def _kill_fork(self, run: Path) -> str | None:
        """Kill a sitting in a fork; return the phase it was in, None when it had come to its end before."""
        phase = self._draws.choice([name for name in NAMES if name == "begin" or self._phases[name][0]])
        count, seconds = self._phases[phase] if phase != "begin" else (1, 0.02)
        entry = self._draws.randint(1, max(1, count // 2 if (run / "recipe.yaml").exists() else count))
        kill = Kill(phase, entry, self._draws.random() * seconds / count)
        if phase in SPARED:
            shutil.rmtree(self._scratch / "cache", ignore_errors=True)
        ended = self._sitting(run, kill)
        if ended.killed:
            return ended.phase
        assert ended.code == 0, ended.said
        return None

    def _sitting(self, run: Path, kill: Kill | None = None) -> Ended:
        plots = kill is not None and kill.phase in WITH_PICTURES
        return self._server.command(*self._words(run), kill=kill, plots=plots)

    def _kill_fresh(self, run: Path) -> str | None:
        """Kill a process of its own at any moment of its life."""
        seconds = self._draws.random() * self._fresh_seconds
        with subprocess.Popen(self._fresh_words(run), env=self._environment()) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
        if process.returncode == -signal.SIGKILL:
            return "a process of its own"
        assert process.returncode == 0, process.returncode
        return None

    def _words(self, run: Path) -> list[object]:
        if (run / "recipe.yaml").exists():
            return ["resume", run, "--quiet"]
        return ["train", self._recipe, "--out", run, "--quiet"]

    def _fresh_words(self, run: Path) -> list[str]:
        # its output is thrown away by the shell's own words, so that a kill hits nothing but netwright
        return [sys.executable, "-c", _QUIETLY, *map(str, self._words(run))]

    def _environment(self) -> dict[str, str]:
        names = ("CACHE", "STATE", "DATA", "CONFIG")
        homes = {f"XDG_{name}_HOME": str(self._scratch / name.lower()) for name in names}
        return os.environ | homes | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


_QUIETLY = "import sys; sys.stdout = open('/dev/null', 'w'); from netwright.cli.main import main; main()"


def measure(kills: int, fresh: int, seed: int, scratch: Path, weights: Path) -> dict[str, Any]:
    """Kill until so many kills have happened; return the figures."""
    draws, tally = random.Random(seed), Tally()
    recipes = write_recipes(scratch, weights)
    with ForkServer(scratch) as server:
        killers = [Killer(server, scratch, name, path, draws) for name, path in recipes.items()]
        turns = itertools.cycle(killers)
        while tally.number < kills:
            left = kills - tally.number
            next(turns).run_one(tally, min(left, draws.randint(1, MOST_KILLS_OF_A_RUN)), fresh=left <= fresh)
            print(f"{tally.number:4d} kills, {tally.runs} runs, {tally.equal} equal", flush=True)
    by_recipe, by_phase = Counter[str](), Counter[str]()
    for name, count in tally.kills.items():
        recipe, _, phase = name.partition(": ")
        by_recipe[recipe] += count
        by_phase[phase] += count
    return {
        "kills": tally.number,
        "runs": tally.runs,
        "equal": tally.equal,
        "by_recipe": dict(by_recipe),
        "by_phase": dict(sorted(by_phase.items())),
        "differences": tally.differences,
        "seeds": [seed],
    }


def added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of two measurements together; what `one` has besides is left out."""
    together = dict(other)
    for name, value in other.items():
        if isinstance(value, dict):
            counts = Counter(one[name])
            counts.update(value)
            together[name] = dict(sorted(counts.items()))
        else:
            together[name] = one[name] + value
    return together


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--fresh", type=int, default=20, help="of them in processes of their own [20]")
    parser.add_argument("--weights", type=Path, required=True, help="a state dict of torchvision's squeezenet1_1")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--add", action="store_true", help="add to the figures that were kept before")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="netwright-kills-") as scratch:
        weights = arguments.weights.resolve(strict=True)
        found = measure(arguments.kills, arguments.fresh, arguments.seed, Path(scratch), weights)
    if arguments.add:
        found = added(kept("kills"), found)
    return keep("kills", found, passed=not found["differences"] and found["equal"] == found["runs"])


if __name__ == "__main__":
    sys.exit(main())
