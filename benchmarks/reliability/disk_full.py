"""Figure 5: the disk is full at different points of a run; what was there stays whole, and with room again it goes on.

    python -m benchmarks.reliability.disk_full [--points 20] [--seed N]

The disk is a tmpfs of some megabytes, mounted in a namespace of its own (`unshare -Urm`; needs no root where the system
lets users have namespaces). At half of the points there is a little room from the start, more from point to point; at
the others another file takes all room at a moment of a phase drawn at random. The run must end with exit code 4 and one
message. Then the other file is removed, the run is resumed, and must equal the plain one."""

import argparse
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.reliability.forkserver import Ended, ForkServer, Kill, fill_disk
from benchmarks.reliability.recipes import write_recipes
from benchmarks.reliability.results import keep
from netwright.runs.equality import compare_runs

DISK_BYTES = 32 * 2**20
NAMESPACE = "NETWRIGHT_DISK_FULL"  # set in the namespace where tmpfs may be mounted
# phases in which a run writes, so that a disk that is full then is met
WRITING = ("decode", "build", "settle", "train", "checkpoint", "validate", "results", "bundle", "plots", "report")


class Disk:
    """A small disk, a run on it, and a file that takes the room."""

    def __init__(self, server: ForkServer, scratch: Path, recipe: Path) -> None:
        self._server, self._place = server, scratch / "disk"
        self._ballast, self._run, self._plain = self._place / "ballast", self._place / "run", scratch / "plain"
        ended = server.command("train", recipe, "--out", self._plain, "--quiet")
        assert ended.code == 0, ended.said
        self.phases, self._recipe = ended.phases, self._plain / "recipe.yaml"
        self.needed = 2 * sum(path.stat().st_size for path in self._plain.rglob("*") if path.is_file())

    def try_point(self, room: int | None, fill: Kill | None) -> tuple[str, list[str]]:
        """Train with so much room, or until the disk is filled; return what happened and what is wrong."""
        for path in (self._run, self._ballast):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if room is not None:
            fill_disk(self._ballast)
            os.truncate(self._ballast, max(0, self._ballast.stat().st_size - room))
        ended = self._sitting(fill)
        if ended.code == 0:
            return "not met", []
        wrong = []
        if ended.code != 4 or "Traceback" in ended.said or not _says_full(ended.said):
            wrong.append(f"exit {ended.code}: {ended.said[-800:]}")
        left = [str(path) for path in self._run.rglob("*.part")] if self._run.exists() else []
        wrong += [f"left behind: {left}"] if left else []
        had = (self._run / "checkpoints" / "current" / "manifest.json").exists()
        self._ballast.unlink(missing_ok=True)
        again = self._sitting(None)
        if again.code or "damaged" in again.said:
            wrong.append(f"resumed: exit {again.code}: {again.said[-800:]}")
        else:
            wrong += compare_runs(self._plain, self._run)
        return "with a checkpoint" if had else "before a checkpoint", wrong

    def _sitting(self, fill: Kill | None) -> Ended:
        if (self._run / "recipe.yaml").exists():
            return self._server.command("resume", self._run, "--quiet", kill=fill)
        return self._server.command("train", self._recipe, "--out", self._run, "--quiet", kill=fill)


def _says_full(said: str) -> bool:
    return any(words in said for words in ("disk is full", "disk is too full", "No space left"))


def measure(points: int, seed: int, scratch: Path) -> dict[str, Any]:
    """Fill the disk at so many points; return the figures."""
    draws, found, failures = random.Random(seed), Counter[str](), list[str]()
    place = scratch / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(place)], check=True)
    with ForkServer(scratch) as server:
        disk = Disk(server, scratch, write_recipes(scratch)["mlp"])
        while found["with a checkpoint"] + found["before a checkpoint"] < points:
            number = found.total()
            if number < points // 2:
                room, fill, how = int(disk.needed * (number + draws.random()) / points), None, ""
            else:
                phase = draws.choice([name for name in WRITING if disk.phases[name][0]])
                count, seconds = disk.phases[phase]
                entry = draws.randint(1, count)
                fill = Kill(phase, entry, draws.random() * seconds / count, str(place / "ballast"))
                room, how = None, f"{phase} {entry}"
            what, wrong = disk.try_point(room, fill)
            found[what] += 1
            failures += [f"{how or f'{room} bytes of room'}: {text}" for text in wrong]
            print(f"{number + 1:3d} {how or f'{room} bytes of room'}: {what}, {len(failures)} failures", flush=True)
    subprocess.run(["umount", str(place)], check=True)
    return {"points": points, **found, "failures": failures, "seed": seed}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    arguments = parser.parse_args()
    if NAMESPACE not in os.environ:
        os.environ[NAMESPACE] = "1"
        seed = ["--seed", str(arguments.seed), "--points", str(arguments.points)]
        os.execvp("unshare", ["unshare", "-Urm", sys.executable, "-m", "benchmarks.reliability.disk_full", *seed])
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="netwright-disk-") as scratch:
        found = measure(arguments.points, arguments.seed, Path(scratch))
    return keep("disk_full", found, passed=not found["failures"])


if __name__ == "__main__":
    sys.exit(main())
