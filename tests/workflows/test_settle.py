"""From an open recipe to choices in the saved one: tried out once, remembered, resumed, overridden."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import netwright as nw
from netwright.data.batches import Batch
from netwright.runtime.machine import Machine
from netwright.training import remembered
from netwright.training.rehearsal import Rehearsal
from netwright.workflows import settle, sitting

CHANGED = {"threads": 1, "memory_format": "contiguous", "optimizer_kernel": "foreach"}
PLAIN = {"threads": 2, "memory_format": "channels_last", "optimizer_kernel": "fused"}


class Stage:
    """A clock on which two threads, channels_last and the fused kernel are slow; real steps run with one thread."""

    def __init__(self) -> None:
        self.now, self.steps, self.busy, self.tilt = 0.0, 0, False, 1.0

    def __call__(self) -> float:
        return self.now

    def step(self, rehearsal: Rehearsal, batch: Batch, machine: Machine) -> None:
        self.steps += 1
        fused = bool(rehearsal._optimizer.defaults.get("fused"))
        slow = machine.threads * (1.5 if machine.memory_format is torch.channels_last else 1) * (1.2 if fused else 1)
        self.now += 0.1 * slow**self.tilt


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    """Two cores, a cache of the test's own and that clock."""
    made = Stage()
    monkeypatch.setattr(Rehearsal, "step", lambda *arguments: made.step(*arguments))
    monkeypatch.setattr(sitting, "settle", partial(settle.settle, clock=made))
    monkeypatch.setattr(settle, "machine_is_busy", lambda threads, clock: made.busy)
    monkeypatch.setattr("netwright.runtime.machine.available_cores", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(remembered, "trials_file", lambda: tmp_path / "trials.json")
    return made


def train(out: Path, *, epochs: int = 1000, **runtime: Any) -> nw.Run:
    """Train for one step of a run that would take `epochs` times 3 slow steps."""
    return nw.train(
        "digits",
        out=out,
        model={"name": "cnn", "channels": [2]},
        training={"epochs": epochs, "batch_size": 500, "max_minutes": 1e-9},
        quiet=True,
        runtime={"device": "cpu", "precision": "fp32"} | runtime,
    )


def chosen(run: nw.Run) -> dict[str, Any]:
    saved = yaml.safe_load((run.path / "recipe.yaml").read_text())["runtime"]
    return {name: saved[name] for name in CHANGED}


def told(run: nw.Run) -> Any:
    return json.loads((run.path / "environment.json").read_text()).get("trial")


def test_the_choices_are_in_the_saved_recipe_and_their_reasons_in_the_environment(stage: Stage, tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    assert chosen(run) == CHANGED
    assert told(run)["seconds"] <= told(run)["budget_seconds"] and not told(run)["remembered"]
    assert [heat["verdict"] for heat in told(run)["contests"]] == ["other", "other", "other", "plain"]
    said = "1 thread (2.00 × 2 threads), contiguous (1.50 × channels_last), foreach (1.20 × fused); trial took"
    assert said in (run.path / "log.txt").read_text()


@pytest.mark.parametrize(("epochs", "tilt"), [(90, -1.0), (1, 1.0), (60, 1.0)])
def test_a_run_of_little_time_or_few_steps_has_no_trial(stage: Stage, tmp_path: Path, epochs: int, tilt: float) -> None:
    """Under 10 s there is little to win; of 180 steps, however slow, 5 % are too few for five rounds."""
    stage.tilt = tilt
    run = train(tmp_path / "run", epochs=epochs)
    assert chosen(run) == PLAIN and told(run) is None and stage.steps == 4  # those of the estimate


def test_one_long_step_is_enough_for_the_estimate(stage: Stage, tmp_path: Path) -> None:
    stage.tilt = 3  # 4.7 s
    run = train(tmp_path / "run", epochs=10)
    assert chosen(run) == PLAIN and told(run) is None and stage.steps == 1


def test_the_next_run_of_the_kind_needs_no_trial(stage: Stage, tmp_path: Path) -> None:
    train(tmp_path / "first")
    stage.steps = 0
    second = train(tmp_path / "second")
    assert chosen(second) == CHANGED and told(second) == {"remembered": True} and stage.steps == 0
    other_kind = train(tmp_path / "third", memory_format="channels_last")
    assert chosen(other_kind)["memory_format"] == "channels_last" and len(told(other_kind)["contests"]) == 3


@pytest.mark.parametrize(
    "damage", [b"", b"[1]", b"{", b'{"KIND": {"threads": 99, "memory_format": "contiguous", "kernel": "plain"}}']
)
def test_a_damaged_memory_is_no_memory(stage: Stage, tmp_path: Path, damage: bytes) -> None:
    train(tmp_path / "first")
    (kind,) = json.loads((tmp_path / "trials.json").read_bytes())
    (tmp_path / "trials.json").write_bytes(damage.replace(b"KIND", kind.encode()))
    assert chosen(train(tmp_path / "second")) == CHANGED
    assert json.loads((tmp_path / "trials.json").read_bytes())[kind]["threads"] == 1


def test_what_a_busy_machine_showed_is_not_remembered(stage: Stage, tmp_path: Path) -> None:
    stage.busy = True
    assert chosen(train(tmp_path / "run")) == CHANGED
    assert not (tmp_path / "trials.json").exists()


@pytest.mark.parametrize(("asked", "threads"), [("auto", 1), (2, 2)])
def test_on_a_busy_machine_a_run_too_short_for_a_trial_takes_one_thread(
    stage: Stage, tmp_path: Path, asked: Any, threads: int
) -> None:
    """Two threads beside another process took 41 s where one took 5."""
    stage.busy = True
    run = train(tmp_path / "run", epochs=60, threads=asked)
    assert chosen(run) == PLAIN | {"threads": threads}
    assert told(run) == ({"machine_is_busy": True} if asked == "auto" else None)
    assert ("1 thread: the machine is busy" in (run.path / "log.txt").read_text()) == (asked == "auto")


def test_on_a_busy_machine_the_threads_are_tried_again(stage: Stage, tmp_path: Path) -> None:
    stage.tilt = -1.0  # now everything is the other way round: the plain choice wins, and is remembered
    assert chosen(train(tmp_path / "quiet")) == PLAIN
    stage.tilt, stage.busy = 1.0, True
    run = train(tmp_path / "busy")
    assert chosen(run) == PLAIN | {"threads": 1} and told(run)["remembered"]
    assert [heat["setting"] for heat in told(run)["contests"]] == ["threads"]


@pytest.mark.parametrize("begun", [True, False])
def test_resuming_takes_the_choices_over(stage: Stage, tmp_path: Path, begun: bool) -> None:
    """Also when the run was killed before its first checkpoint, and starts over."""
    run = train(tmp_path / "run")
    (tmp_path / "trials.json").unlink()
    if not begun:
        shutil.rmtree(run.path / "checkpoints")
        (run.path / "checkpoints").mkdir()
    stage.steps, stage.tilt = 0, -1.0
    assert chosen(nw.resume(run, quiet=True)) == CHANGED and stage.steps == 0


@pytest.mark.parametrize("asked", [{"trial": False}, {"exact": True}])
def test_no_trial_where_none_is_wanted(stage: Stage, tmp_path: Path, asked: dict[str, Any]) -> None:
    run = train(tmp_path / "run", **asked)
    exact = {"memory_format": "contiguous", "optimizer_kernel": "plain"} if "exact" in asked else {}
    assert chosen(run) == PLAIN | exact and told(run) is None and stage.steps == 0
    assert not (tmp_path / "trials.json").exists()


def test_what_was_asked_for_stays(stage: Stage, tmp_path: Path) -> None:
    assert chosen(train(tmp_path / "run", **PLAIN)) == PLAIN and stage.steps == 0


def test_a_trial_changes_no_bit_of_the_training(stage: Stage, tmp_path: Path) -> None:
    """The run that tried ends as the run that was told what the trial found."""
    tried = train(tmp_path / "tried")
    told_so = train(tmp_path / "told", **CHANGED)
    weights = [(run.path / "bundle" / "model.safetensors").read_bytes() for run in (tried, told_so)]
    assert told(tried) and not told(told_so) and weights[0] == weights[1]
