"""Measure ours against the classic loop, a hand-written loop and, with --peers, other tools: `make bench`.

Every side does the same work in a process of its own; the sides run in turn, A B C, C B A, …, so that what else the
machine does meets all of them. Results go to benchmarks/results/, tables to docs/benchmarks.md."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import data_root, prepare_npz
from benchmarks.measure import ROOT, Measured, SideFailed, describe_machine, measure
from benchmarks.page import put_section
from benchmarks.table import section
from benchmarks.works import PROGRAMS, SIDES, Side, Work, works

HERE = ROOT / "benchmarks"


def main() -> None:
    arguments = read_arguments()
    machine = describe_machine()
    known = works(machine["hardware_bf16"])
    programs = [name for name in PROGRAMS if (HERE / f"{name}.py").exists()]
    chosen = arguments.only or [*known, *programs]
    for name in chosen:
        if name in known:
            record = Bench(known[name], arguments, machine).run()
            keep(record, arguments)
        elif name in programs:
            run_program(name, arguments)
        else:
            sys.exit(f"no work is called {name!r}; there are: {', '.join([*known, *programs])}")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", metavar="DIR")
    parser.add_argument("--pairs", type=int, default=7, help="runs of each side [7]")
    parser.add_argument("--only", action="append", metavar="WORK", help="repeatable; all by default")
    parser.add_argument("--sides", metavar="A,B,…", help="these sides only, for a quick look")
    parser.add_argument("--images", type=int, help="train on so many images only, which the table says")
    parser.add_argument("--threads", type=int, default=cores, help=f"processor threads of every side [{cores}]")
    parser.add_argument("--peers", metavar="PYTHON", help="the Python with Lightning, fastai, Keras and skorch")
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "benchmarks", metavar="DIR")
    parser.add_argument("--results", type=Path, metavar="DIR", help="[benchmarks/results; with --images the scratch]")
    parser.add_argument("--page", type=Path, help="[docs/benchmarks.md; with --images one in the scratch folder]")
    arguments = parser.parse_args()
    quick = arguments.images or arguments.sides
    if arguments.peers:  # not resolved: a link is what makes it an environment's Python
        arguments.peers = os.path.abspath(arguments.peers)
    for name in ("data", "scratch"):
        setattr(arguments, name, getattr(arguments, name).resolve())
    arguments.results = arguments.results or (arguments.scratch if quick else ROOT / "benchmarks" / "results")
    arguments.page = arguments.page or (arguments.scratch / "quick.md" if quick else ROOT / "docs" / "benchmarks.md")
    return arguments


class Bench:
    """The runs of one work: which sides are left, what they gave, which failed."""

    def __init__(self, work: Work, arguments: argparse.Namespace, machine: dict[str, Any]) -> None:
        self.work, self.arguments, self.machine = work, arguments, machine
        self.npz = prepare_npz(work.data, arguments.data, arguments.scratch, arguments.images)
        self.runs: list[Measured] = []
        self.failed: dict[str, str] = {}

    def run(self) -> dict[str, Any]:
        """Run every side `pairs` times; return the record."""
        print(f"\n{self.work.title}", flush=True)
        sides = [SIDES[name] for name in self.work.sides if self._wanted(SIDES[name])]
        for pair in range(self.arguments.pairs):
            for side in reversed(sides) if pair % 2 else sides:
                if side.name not in self.failed:
                    self._run_side(pair, side)
        with np.load(self.npz) as archive:
            counts = {split: len(archive[f"y_{split}"]) for split in ("train", "val", "test")}
        evaluation = "evaluation" in self.work.name
        return {
            "work": self.work.name,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": self.machine,
            "threads": self.arguments.threads,
            "partial": bool(self.arguments.images),
            "num_images": counts["test" if evaluation else "train"],
            "num_judged": counts["test" if evaluation else "val"],
            "runs": [run.to_mapping() for run in self.runs],
            "failed": self.failed,
        }

    def _wanted(self, side: Side) -> bool:
        if self.arguments.sides and side.name not in self.arguments.sides.split(","):
            return False
        if side.name == "best-fp32" and not self.machine["hardware_bf16"]:
            return False  # it would be the same as `best`
        return bool(self.arguments.peers) or not side.peer

    def _run_side(self, pair: int, side: Side) -> None:
        try:
            measured = measure(pair, side.name, self._command(pair, side), self.arguments.threads)
        except SideFailed as failure:
            self.failed[side.name] = str(failure)
            print(f"  {pair + 1}  {side.title:<40} did not run: {failure}", flush=True)
            return
        self.runs.append(measured)
        shown = measured.detail[self.work.figure[0]] if self.work.figure else measured.seconds
        unit = self.work.figure[1] if self.work.figure else "s"
        print(f"  {pair + 1}  {side.title:<40} {shown:8.3f} {unit}   {measured.accuracy:7.2%}", flush=True)

    def _command(self, pair: int, side: Side) -> Sequence[str]:
        python = self.arguments.peers if side.peer else sys.executable
        command = [python, "-m", side.module, "--work", self.work.name, "--npz", str(self.npz)]
        command += ["--threads", str(self.arguments.threads), "--seed", str(pair)]
        if self.machine["hardware_bf16"] and not side.peer:
            command += ["--precision", "bf16"]
        if side.follows_classic:
            command += ["--workers", str(self._workers())]
        if "evaluation" in self.work.name:
            command += ["--weights", str(self._weights())]
        return [*command, *side.arguments]

    def _workers(self) -> int:
        """Return with how many workers the classic loop was quicker so far."""
        of_classic = [run for run in self.runs if run.side.startswith("classic")]
        return min(of_classic, key=lambda run: run.seconds).detail["workers"] if of_classic else 0

    def _weights(self) -> Path:
        """Return weights to evaluate: one epoch of the hand-written loop, made once."""
        path = self.arguments.scratch / f"{self.work.recipe}-{self.npz.stem}.pt"
        if not path.exists():
            command = [sys.executable, "-m", SIDES["best"].module, "--work", "cifar10-cnn", "--npz", str(self.npz)]
            command += ["--threads", str(self.arguments.threads), "--save-weights", str(path)]
            measure(0, "best", command, self.arguments.threads)
        return path


def keep(record: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Write the record and its section of the page, and print the section."""
    if not record["runs"]:
        return
    arguments.results.mkdir(parents=True, exist_ok=True)
    file = arguments.results / f"{record['work']}.json"
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = section(record)
    put_section(arguments.page, record["work"], text)
    print(f"\n{text}\n→ {file}, {arguments.page}", flush=True)


def run_program(name: str, arguments: argparse.Namespace) -> None:
    """Run a measurement that is a program of its own, and put what it prints into the page."""
    print(f"\n{name}.py", flush=True)
    places = {"data": arguments.data, "root": data_root(arguments.data, arguments.scratch)}
    places |= {"peers": arguments.peers or ""}
    command = [sys.executable, "-m", f"benchmarks.{name}", *(given.format(**places) for given in PROGRAMS[name])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"  {name}.py ended with {done.returncode}", file=sys.stderr)
        return
    print(done.stdout, flush=True)
    date = datetime.now(UTC).date().isoformat()
    title = name.replace("_", " ").capitalize()
    put_section(arguments.page, name, f"## {title}\n\n{date}\n\n```text\n{done.stdout.strip()}\n```\n")


if __name__ == "__main__":
    main()
