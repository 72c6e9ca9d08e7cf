"""Figure 2: SIGKILL inside a save of a 200 MB state; what is left must load, at most one save behind.

    python -m benchmarks.reliability.saves [--kills 200] [--megabytes 200] [--seed N] [--folder DIR]

One folder is saved into again and again; each process loads what the one before has left, checks every number, saves on
and is killed inside its first or second save, at any moment of it."""

import argparse
import random
import secrets
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.reliability.forkserver import ForkServer, Kill
from benchmarks.reliability.results import keep

JOB = "benchmarks.reliability.saving:load_and_save"


def measure(kills: int, megabytes: float, seed: int, scratch: Path) -> dict[str, Any]:
    """Kill inside so many saves; return the figures."""
    draws, found, failures = random.Random(seed), Counter[str](), list[str]()
    folder, told = scratch / "checkpoints", scratch / "told.txt"
    folder.mkdir()
    arguments: dict[str, Any] = {"folder": str(folder), "told": str(told), "megabytes": megabytes}
    with ForkServer(scratch) as server:
        ended = server.run(JOB, None, saves=3, **arguments)
        assert ended.code == 0, ended.said
        seconds = ended.phases["save"][1] / 3
        done = last_told(told)
        while found.total() < kills:
            kill = Kill("save", draws.randint(1, 2), draws.random() * seconds, wall_factor=1)
            ended = server.run(JOB, kill, saves=2, **arguments)
            loaded, done_before, done = first_told(told), done, last_told(told)
            if ended.code > 0 or loaded is None:
                failures.append(f"after {found.total()} kills: {ended.said[-500:]}")
                break
            if not done_before <= loaded <= done_before + 1:
                failures.append(f"{done_before} saves were done and {loaded} was loaded")
            if ended.killed:
                found[ended.phase] += 1
                print(f"{found.total():4d} kills, {loaded} loaded, {len(failures)} failures", flush=True)
        ended = server.run(JOB, None, saves=0, **arguments)
        failures += [ended.said] if ended.code else []
    return {
        "kills": found.total(),
        "inside_the_save": found["save"],
        "megabytes": megabytes,
        "seconds_of_a_save": round(seconds, 3),
        "failures": failures,
        "seed": seed,
    }


def first_told(path: Path) -> int | None:
    """Return the step that the last process loaded, None when it could not."""
    lines = path.read_text().splitlines()
    return int(lines[0].split()[1]) if lines else None


def last_told(path: Path) -> int:
    """Return the step of the last save that was done."""
    return int(path.read_text().splitlines()[-1].split()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--folder", type=Path, help="on the disk to test [the system's temporary folder]")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="netwright-saves-", dir=arguments.folder) as scratch:
        found = measure(arguments.kills, arguments.megabytes, arguments.seed, Path(scratch))
    return keep("saves", found, passed=not found["failures"])


if __name__ == "__main__":
    sys.exit(main())
