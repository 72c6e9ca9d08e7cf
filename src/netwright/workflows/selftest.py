"""`netwright selftest`: is a run that is killed here the same in the end, bit for bit, as one that is not?

A short run is trained whole. The same recipe is trained again in processes that are killed at moments drawn at random,
each time resumed, and compared: weights, optimizer, history, metrics, bundle. All of it in a folder that is removed."""

import random
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import yaml

from netwright.errors import InputError
from netwright.files.atomic import explained
from netwright.runs.equality import compare_runs, largest_weight_difference
from netwright.runs.folder import RunFolder
from netwright.workflows.console import Console
from netwright.workflows.duration import duration
from netwright.workflows.interrupt import sigterm_as_ctrl_c
from netwright.workflows.killing import Lengths, Moment, Processes, epochs_done

MOST_DIFFERENCES = 5  # that are printed
NEEDED_BYTES = 5_000_000  # two runs of 1.5 MB and what a save needs beside
NUM_IMAGES, NUM_CLASSES, SIDE = 1200, 10, 8
MOST_THREADS = 2  # more are no use for images so small
# what a resumed run could get wrong: drawn crops, flips and masks, running statistics, groups of batches, averages
RECIPE: dict[str, Any] = {
    "augmentation": [{"name": "random_crop", "padding": 1}, {"name": "horizontal_flip"}],
    "model": {"name": "cnn", "channels": [8, 16], "batch_norm": True, "dropout": 0.2},
    "optimizer": {"name": "adam", "lr": 0.01},
    "lr_scheduler": {"name": "one_cycle"},
}
TRAINING = {"batch_size": 32, "accumulation_steps": 2, "averaging": "ema", "checkpoint_seconds": 0.1}


@dataclass(frozen=True)
class Trial:
    """One device to test; `promised` says whether anything else than equal bits is a failure."""

    name: str
    runtime: dict[str, Any]
    promised: bool
    moments: tuple[Moment, ...]


@dataclass
class Outcome:
    """What became of a trial."""

    name: str
    promised: bool
    machine: str = ""
    kills: list[dict[str, Any]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    largest_weight_difference: float = 0.0

    @property
    def equal(self) -> bool:
        return not self.differences

    def to_mapping(self) -> dict[str, Any]:
        return vars(self) | {"equal": self.equal}


def selftest(
    *, seed: int | None = None, quick: bool = False, folder: Path | None = None, console: Console | None = None
) -> dict[str, Any]:
    """Kill and resume a short run and compare it with the plain one; `folder` is where (default: the system's own).

    Returns `passed`, `seed`, `trials`, `promises`, `seconds`. Raises MachineError or WorkFailed when a run fails."""
    console, started = console or Console(), monotonic()
    seed = secrets.randbelow(10**6) if seed is None else seed
    if folder is not None and not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give one on the disk that your runs lie on")
    console.say(f"seed     {seed}; netwright selftest --seed {seed} draws the same moments again")
    from netwright.runtime.load import machine_is_busy
    from netwright.runtime.machine import available_cores
    from netwright.runtime.promises import describe_build, folder_promises, gpu_name, promises

    console.say(f"build    {describe_build()}")
    outcomes = []
    place = folder or Path(tempfile.gettempdir())
    with (
        explained(place, NEEDED_BYTES),
        sigterm_as_ctrl_c(),
        tempfile.TemporaryDirectory(prefix="netwright-selftest-", dir=place, ignore_cleanup_errors=True) as made,
    ):
        weaker = folder_promises(place)
        write_images(Path(made) / "images.npz", seed)
        threads = min(MOST_THREADS, available_cores())
        if machine_is_busy(threads):  # two threads would wait for each other: minutes in place of seconds
            threads = 1
        for number, trial in enumerate(plan_trials(gpu_name(), seed, quick, threads)):
            scratch = Path(made) / str(number)
            scratch.mkdir()
            outcomes.append(try_device(trial, scratch, seed, 6 if quick else 12, console))
    return {
        "passed": all(outcome.equal or not outcome.promised for outcome in outcomes),
        "seed": seed,
        "build": describe_build(),
        "trials": [outcome.to_mapping() for outcome in outcomes],
        "promises": [*promises(), *weaker],
        "seconds": round(monotonic() - started, 1),
    }


def write_images(path: Path, seed: int) -> None:
    """Write the images to train on: a pattern a class, under noise. Loading digits costs each process a second."""
    draws = np.random.default_rng(seed)
    targets = np.arange(NUM_IMAGES) % NUM_CLASSES
    patterns = draws.integers(0, 2, (NUM_CLASSES, SIDE, SIDE))
    pixels = draws.integers(0, 156, (NUM_IMAGES, SIDE, SIDE)) + 100 * patterns[targets]
    np.savez(path, images=pixels.astype(np.uint8), labels=targets)


def plan_trials(gpu: str | None, seed: int, quick: bool, threads: int) -> list[Trial]:
    """Return what is tested: the CPU as trained by default, and a GPU with and without --exact where there is one."""
    draws = random.Random(seed)

    def moments(*phases: Any) -> tuple[Moment, ...]:
        further_on = iter(sorted(draws.random() for phase in phases if phase == "training"))
        return tuple(Moment(phase, next(further_on) if phase == "training" else draws.random()) for phase in phases)

    several = ("training", "results") if quick else ("start", "training", "training", "training", "results")
    trials = [Trial("CPU", {"device": "cpu", "threads": threads}, True, moments(*several))]
    if gpu == "cuda":
        trials.append(Trial("GPU, --exact", {"device": gpu, "exact": True}, True, moments("training", "training")))
    if gpu is not None:
        trials.append(Trial("GPU, not exact", {"device": gpu}, False, moments("training")))
    return trials


def try_device(trial: Trial, scratch: Path, seed: int, epochs: int, console: Console) -> Outcome:
    """Train plainly, train with kills, compare."""
    plain, broken = scratch / "plain", scratch / "broken"
    training = TRAINING | {"epochs": epochs, "seed": seed}
    recipe = scratch / "recipe.yaml"
    sections = {"data": {"source": str(scratch.parent / "images.npz")}, "training": training, "runtime": trial.runtime}
    recipe.write_text(yaml.safe_dump(RECIPE | sections), encoding="utf-8")
    processes = Processes(scratch, epochs)
    lengths = processes.run(plain, ["train", str(recipe), "--out", str(plain)])
    runtime = RunFolder(plain).read_recipe().runtime
    threads = f" {runtime.threads} thread{'s' * (runtime.threads != 1)}," if runtime.device == "cpu" else ""
    outcome = Outcome(trial.name, trial.promised, f"{threads} {runtime.precision}, {runtime.memory_format}".strip())
    whole = lengths.start + lengths.training + lengths.results
    console.say(f"\n{trial.name} ({outcome.machine})")
    console.say(f"plain    {epochs} epochs, {duration(whole)}")
    for moment in trial.moments:
        outcome.kills += _kill_once(processes, plain, broken, moment, lengths, console)
    processes.run(broken, _words(plain, broken))
    outcome.differences = compare_runs(plain, broken)
    outcome.largest_weight_difference = largest_weight_difference(plain, broken)
    console.say(f"resumed  to the end, after {len(outcome.kills)} kill{'s' * (len(outcome.kills) != 1)}")
    _say_outcome(outcome, console)
    return outcome


def _kill_once(
    processes: Processes, plain: Path, broken: Path, moment: Moment, lengths: Lengths, console: Console
) -> list[dict[str, Any]]:
    """Let one sitting run to its moment; return what is known of the kill, nothing when the run was done before."""
    age = processes.kill(broken, _words(plain, broken), moment, lengths)
    if age is None:
        console.say("killed   not: the run had come to its end before the moment that was drawn")
        return []
    epochs, total = epochs_done(broken), RunFolder(plain).read_recipe().training.epochs
    place = f"in epoch {epochs + 1} of {total}" if epochs < total else "while it wrote the results"
    if not (broken / "checkpoints" / "current").exists():
        place = "before its first checkpoint"
    console.say(f"killed   {age:.2f} s after its start, {place}")
    return [{"phase": moment.phase, "seconds": round(age, 3), "epochs_done": epochs}]


def _words(plain: Path, broken: Path) -> list[str]:
    """Return the command line of the next sitting. The plain run's own recipe has in it what was chosen by trial."""
    if (broken / "recipe.yaml").exists():
        return ["resume", str(broken)]
    return ["train", str(plain / "recipe.yaml"), "--out", str(broken)]


def _say_outcome(outcome: Outcome, console: Console) -> None:
    if outcome.equal:
        console.say("equal    weights, optimizer, history, metrics, outputs, bundle: bit for bit")
        return
    largest = f"weights by up to {outcome.largest_weight_difference:.2g}"
    said = "DIFFERS " if outcome.promised else "differs "
    console.say(f"{said} {largest}{'' if outcome.promised else '; nothing else is promised here'}")
    if outcome.promised:
        for difference in outcome.differences[:MOST_DIFFERENCES]:
            console.say(f"         {difference}")
