"""Figure 3: single flipped bits and truncations over every file of a run; each is named, or changes nothing.

    python -m benchmarks.reliability.damage [--flips 1000] [--cuts 200] [--seed N]

Two runs are damaged by turns, a finished one and one that was killed in training, one file at a time, files drawn
alike. Then every verb that opens the file (seen by an audit hook) is run on the damaged copy: it must name the file or
answer as it does of the whole run. A file that no verb opens can't mislead any. `resume` trains on: its run must be the
same."""

import argparse
import json
import random
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks.reliability.forkserver import ForkServer, Kill
from benchmarks.reliability.results import keep
from netwright.runs.equality import compare_runs, timeless

JOB = "benchmarks.reliability.reading:use_run"
RECIPE: dict[str, Any] = {
    "data": {"source": "set.npz"},
    "model": {"name": "mlp", "hidden_sizes": [8]},
    "training": {"epochs": 6, "batch_size": 30, "checkpoint_seconds": 0, "seed": 1},
    "runtime": {"device": "cpu", "threads": 1},
}
FINISHED = ("show", "compare", "predict", "evaluate", "resume")
KILLED = ("show", "resume")
# what may come of a damage, the worst first
OUTCOMES = ("wrong", "named", "an earlier state", "changes nothing", "read by no verb")


@dataclass
class Subject:
    """A run to damage, what its verbs answer while it is whole, and which files each of them opens."""

    run: Path
    verbs: tuple[str, ...]
    whole: dict[str, Any] = field(default_factory=dict)
    resumed: Path = Path()

    def files(self) -> list[Path]:
        return sorted(p.relative_to(self.run) for p in self.run.rglob("*") if p.is_file() and p.stat().st_size)

    def readers(self, name: Path) -> list[str]:
        """Return the verbs that open a file."""
        return [verb for verb in self.verbs if str(name) in self.whole[verb]["opened"]]


class Damage:
    """Damages copies of runs and judges what the verbs say of them."""

    def __init__(self, server: ForkServer, scratch: Path) -> None:
        self._server, self._scratch = server, scratch
        self._copy, self.outcomes, self.failures = scratch / "copy", Counter[str](), list[str]()
        _write_data(scratch)
        finished, killed = self._train("finished", None), self._train("killed", Kill("validate", 5))
        shutil.copytree(finished, scratch / "other")
        self.subjects = [Subject(finished, FINISHED), Subject(killed, KILLED)]
        for subject in self.subjects:
            subject.whole = self._use(subject, subject.verbs)
            wrong = {verb: answer for verb, answer in subject.whole.items() if answer["code"]}
            assert not wrong, wrong
            subject.resumed = scratch / f"{subject.run.name}-resumed"
            shutil.copytree(self._copy, subject.resumed)

    def _train(self, name: str, kill: Kill | None) -> Path:
        run = self._scratch / name
        while not (run / "checkpoints" / "previous" / "manifest.json").exists():  # a kill can come before the second
            shutil.rmtree(run, ignore_errors=True)
            words = ["train", self._scratch / "recipe.yaml", "--out", run, "--quiet"]
            ended = self._server.command(*words, kill=kill, plots=kill is None)
            assert ended.killed if kill else not ended.code, ended.said
        return run

    def _use(self, subject: Subject, verbs: tuple[str, ...] | list[str], spoil: Any = None) -> dict[str, Any]:
        """Copy the run, spoil the copy, run the verbs on it; each has a copy of its own, for some write."""
        answers = {}
        for verb in verbs:
            shutil.rmtree(self._copy, ignore_errors=True)
            shutil.copytree(subject.run, self._copy)
            if spoil is not None:
                spoil(self._copy)
            answer = self._scratch / "answer.json"
            ended = self._server.run(JOB, None, run=str(self._copy), verb=verb, answer=str(answer))
            answers[verb] = (
                json.loads(answer.read_text()) if not ended.code else {"code": ended.code, "err": ended.said}
            )
            if verb == "resume" and spoil is not None and answers[verb]["code"] == 0:
                for kept in self._copy.rglob("*.damaged"):  # kept beside, for people
                    kept.unlink()
                answers[verb]["differs"] = compare_runs(subject.resumed, self._copy)
        return answers

    def try_one(self, subject: Subject, name: Path, spoil: Any, how: str) -> None:
        """Damage one file in one way; note what came of it."""
        readers = subject.readers(name)
        answers = self._use(subject, readers, lambda copy: spoil(copy / name))
        found = {verb: judge(verb, name, answer, subject.whole[verb]) for verb, answer in answers.items()}
        outcome = next((word for word in OUTCOMES if word in found.values()), OUTCOMES[-1])
        self.outcomes[f"{name.parts[0] if len(name.parts) > 1 else name}: {outcome}"] += 1
        self.outcomes[outcome] += 1
        for verb in (verb for verb, word in found.items() if word == "wrong"):
            answer = answers[verb]
            text = f"{verb}: exit {answer['code']}, {answer.get('differs', '')} {answer['err'][-300:]}"
            self.failures.append(f"{subject.run.name}/{name}, {how}: {text}")


def judge(verb: str, name: Path, answer: dict[str, Any], whole: dict[str, Any]) -> str:
    """Say what a verb made of a damaged file, in a word of OUTCOMES."""
    same = answer["code"] == 0 and not answer.get("differs") and timeless(answer["out"]) == timeless(whole["out"])
    said, usual = answer["err"] + json.dumps(answer.get("out")), whole["err"] + json.dumps(whole["out"])
    named = name.name in said and name.name not in usual
    if named and (same or answer["code"] == 2):
        return "named"
    if named and answer["code"] == 0 and verb in ("show", "compare"):
        return "named"  # what is known is shown, and what is damaged
    if same:
        return "changes nothing"
    return "an earlier state" if _is_earlier(verb, name, answer, whole) else "wrong"


def _is_earlier(verb: str, name: Path, answer: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Say whether `show` tells of the first epochs of a run under way, whose last lines are gone as after a kill."""
    if verb != "show" or name.name != "history.jsonl" or answer["code"] != 0 or whole["out"]["metrics"]:
        return False
    told: list[Any] = answer["out"]["history"]
    return told == whole["out"]["history"][: len(told)]


def _write_data(folder: Path) -> None:
    draws = np.random.default_rng(0)
    targets = np.arange(150) % 3
    pixels = draws.integers(0, 200, (150, 6, 6), np.uint8)
    pixels[np.arange(150), targets, 3] = 255
    np.savez(folder / "set.npz", x=pixels, y=targets)
    Image.fromarray(pixels[0]).save(folder / "image.png")
    source = {"data": {"source": str(folder / "set.npz")}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | source), encoding="utf-8")


def flip(path: Path, bit: int) -> None:
    """Turn one bit of a file over."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def cut(path: Path, length: int) -> None:
    """Keep the first bytes of a file only."""
    path.write_bytes(path.read_bytes()[:length])


def measure(flips: int, cuts: int, seed: int, scratch: Path) -> dict[str, Any]:
    """Damage so often; return the figures."""
    draws = random.Random(seed)
    with ForkServer(scratch) as server:
        damage = Damage(server, scratch)
        for number in range(flips + cuts):
            subject = damage.subjects[number % 2]
            name = draws.choice(subject.files())
            size = (subject.run / name).stat().st_size
            if number < flips:
                bit = draws.randrange(8 * size)
                damage.try_one(subject, name, lambda path, bit=bit: flip(path, bit), f"bit {bit}")
            else:
                length = draws.randrange(size)
                damage.try_one(subject, name, lambda path, length=length: cut(path, length), f"cut to {length} bytes")
            if number % 20 == 19:
                print(f"{number + 1:5d} damages, {len(damage.failures)} failures", flush=True)
    return {
        "flips": flips,
        "cuts": cuts,
        **{name.replace(" ", "_"): damage.outcomes[name] for name in OUTCOMES},
        "by_file": {name: count for name, count in sorted(damage.outcomes.items()) if name not in OUTCOMES},
        "failures": damage.failures,
        "seed": seed,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="netwright-damage-") as scratch:
        found = measure(arguments.flips, arguments.cuts, arguments.seed, Path(scratch))
    return keep("damage", found, passed=not found["failures"])


if __name__ == "__main__":
    sys.exit(main())
