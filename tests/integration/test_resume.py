"""Nothing is lost: interrupted or killed anywhere, a resumed run ends as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netwright as nw
from netwright.config.optimization import LR_SCHEDULERS
from netwright.files.sealed import read_sealed, write_sealed
from netwright.runs.checkpoints import has_checkpoint
from netwright.runs.equality import compare_runs
from netwright.workflows.sitting import Watcher

# all that a resumed run could get wrong: running statistics, drawn masks and crops, groups of batches, schedules
HARD: dict[str, Any] = {
    "model": {"name": "cnn", "channels": [4, 8], "batch_norm": True, "dropout": 0.2},
    "augmentation": [{"name": "random_crop", "padding": 1}, {"name": "horizontal_flip"}],
    "optimizer": {"name": "adam", "lr": 0.01},
    "split": {"seed": 3},
    "quiet": True,
}
TRAINING: dict[str, Any] = {"epochs": 3, "batch_size": 100, "accumulation_steps": 3, "patience": 2, "clip_norm": 1.0}
SCHEDULES = [
    {"name": "one_cycle"},
    {"name": "plateau", "patience": 0, "factor": 0.5, "threshold": 0.5},
]
# what the speed records use: state of Muon, an average, groups with a schedule of their own, sizes and flips by epoch
RECORD: dict[str, Any] = {
    "model": {
        **{"name": "cnn", "channels": [4, 8], "batch_norm": True, "norm_scale": False, "conv_bias": False},
        **{"whitening": 2, "init": "identity", "activation": "gelu", "global_pooling": "max", "head_scale": 0.1},
    },
    "augmentation": [{"name": "horizontal_flip", "alternating": True}],
    "optimizer": {
        **{"name": "muon", "normalize_weights": True, "momentum": 0.6},
        "groups": [{"parameters": "whitening.*", "lr": 0.1, "epochs": 1}, {"parameters": "*.norm.bias", "lr": 0.5}],
    },
    "transform": {"views": "mirror_shift"},
}
RESOLUTIONS = {"resolutions": [6, 7, 8], "averaging_every_steps": 2, "clip_norm": None, "patience": None}
# targets that are shares of classes, a random operation a sample, classes drawn equally often
MIXED: dict[str, Any] = {
    "augmentation": ["random_crop", "trivial_augment_wide", "random_erasing", "mixup", "cutmix"],
    "criterion": {"label_smoothing": 0.1},
    "exact": True,
}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    *((scheduler["name"], scheduler, {}, {}) for scheduler in SCHEDULES),
    ("mixed", {"name": "one_cycle"}, MIXED, {"sampling": "balanced"}),
    *((kind, {"name": "linear"}, RECORD, RESOLUTIONS | {"averaging": kind}) for kind in ("ema", "lookahead")),
]
# nothing is learnt, so that no epoch is better than the first
STANDING_STILL: dict[str, Any] = {
    "model": "linear",
    "quiet": True,
    "threads": 1,
    "optimizer": {"name": "sgd", "lr": 1e-30},
}
# dropout and batch norm that are frozen at first: the second stage joins in epoch 2, the first one in epoch 3
FROZEN: dict[str, Any] = {
    "model": {"name": "cnn", "channels": [4, 8], "batch_norm": True, "dropout": 0.2, "classifier_sizes": [16]},
    "optimizer": {"name": "adam", "lr": 0.01, "stage_lr_factor": 0.5},
}
SCHEDULES_OF_STEPS = [{"name": "step", "every_epochs": 1}, {"name": "cosine", "warmup_steps": 3}]
CASES += [(one["name"], one, {}, {}) for one in SCHEDULES_OF_STEPS]
CASES.append(("bf16", {"name": "constant"}, {"precision": "bf16"}, {}))
UNFREEZE = {"freeze": "backbone", "unfreeze": {"hidden.0": 2, "features.1": 3}, "patience": None}
CASES.append(("unfrozen", {"name": "one_cycle"}, FROZEN, UNFREEZE))
ON_FEATURES = FROZEN | {"augmentation": []}  # what the backbone says is kept, and only the head trained on that
CASES.append(("features", {"name": "one_cycle"}, ON_FEATURES, {"freeze": "backbone", "patience": None}))
CASES.append(("patience", {"name": "constant"}, {"model": "linear", "augmentation": []}, {"epochs": 6}))
CASES[-1][2]["optimizer"] = {"name": "sgd", "lr": 1e-30}  # nothing is learnt: patience ends it after epoch 3
STEPS = 3 * 5  # 1,257 images: 13 batches in groups of 3 an epoch


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if not key.endswith("seconds") and key != "seal"}


def results(folder: Path) -> dict[str, Any]:
    """All that two equal runs have equal: weights, description, history and metrics without their seconds."""
    history = [timeless(json.loads(line)) for line in (folder / "history.jsonl").read_text().splitlines()]
    return {
        "weights": (folder / "bundle" / "model.safetensors").read_bytes(),
        "bundle": (folder / "bundle" / "bundle.json").read_bytes(),
        "card": (folder / "bundle" / "card.md").read_bytes(),
        "history": history,
        "metrics": timeless(json.loads((folder / "metrics.json").read_text())),
        "recipe": (folder / "recipe.yaml").read_bytes(),
        "split": (folder / "split.json").read_bytes(),
    }


def train(out: Path, scheduler: dict[str, Any], other: dict[str, Any] | None = None, **training: Any) -> nw.Run:
    runtime: dict[str, Any] = {"threads": 1, "device": "cpu"}
    other = dict(other or {})
    if other.pop("exact", False):
        runtime["exact"] = True
    settings = HARD | other | {"lr_scheduler": scheduler, "training": TRAINING | training, "runtime": runtime}
    return nw.train("digits", out=out, **settings)


@pytest.fixture
def press_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes SIGINT arrive during the given step of every sitting that follows; 0: never."""
    plain = Watcher.step
    after, seen = [0], [0]

    def step(self: Watcher, done: int, total: int, num_samples: int) -> None:
        plain(self, done, total, num_samples)
        seen[0] += 1
        if seen[0] == after[0]:
            signal.raise_signal(signal.SIGINT)

    def set_step(number: int) -> None:
        after[0], seen[0] = number, 0

    monkeypatch.setattr(Watcher, "step", step)
    return set_step


def test_a_second_signal_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkpoint of that moment; the one before it is whole and the run goes on from there."""
    expected = results(train(tmp_path / "whole", {"name": "constant"}, checkpoint_seconds=0).path)
    plain, seen = Watcher.step, [0]

    def step(self: Watcher, done: int, total: int, num_samples: int) -> None:
        plain(self, done, total, num_samples)
        seen[0] += 1
        if seen[0] == 8:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Watcher, "step", step)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", {"name": "constant"}, checkpoint_seconds=0)
    assert seen == [8]
    assert nw.load(tmp_path / "broken").folder.state.exists()
    assert read_sealed(tmp_path / "broken" / "state.json")["state"] == "interrupted"
    assert not list((tmp_path / "broken" / "checkpoints").glob("new"))
    assert results(nw.resume(tmp_path / "broken", quiet=True).path) == expected


class Noisy(torch.utils.data.Dataset[Any]):
    """200 images that are drawn anew at every visit."""

    def __len__(self) -> int:
        return 200

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return torch.rand(1, 6, 6) + row % 4, row % 4


def test_worker_processes_change_nothing(tmp_path: Path, press_ctrl_c: Callable[[int], None]) -> None:
    """Read by the main process without an interruption, and by two others with one."""
    runs = []
    for workers, after in ((0, 0), (2, 4)):
        press_ctrl_c(after)
        settings: dict[str, Any] = {"model": "linear", "quiet": True, "training": {"epochs": 2, "batch_size": 50}}
        runtime = {"threads": 1, "device": "cpu", "workers": workers}
        run = nw.train(Noisy(), out=tmp_path / str(workers), runtime=runtime, **settings)
        assert run.interrupted is bool(after)
        press_ctrl_c(0)
        runs.append(nw.resume(run.path, data=Noisy(), quiet=True) if run.interrupted else run)
    assert runs[0].folder.weights.read_bytes() == runs[1].folder.weights.read_bytes()
    assert [timeless(record) for record in runs[0].history] == [timeless(record) for record in runs[1].history]


@pytest.mark.parametrize(("scheduler", "other", "training"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_an_interrupted_run_ends_as_if_nothing_had_happened(
    scheduler: dict[str, Any],
    other: dict[str, Any],
    training: dict[str, Any],
    tmp_path: Path,
    press_ctrl_c: Callable[[int], None],
) -> None:
    """Stopped at random steps until it is through; each sitting ends with a checkpoint that is read by the next."""
    expected = results(train(tmp_path / "whole", scheduler, other, **training).path)
    draws = np.random.default_rng(0)
    press_ctrl_c(int(draws.integers(1, 8)))
    run = train(tmp_path / "broken", scheduler, other, **training)
    sittings = 1
    while run.interrupted:
        assert json.loads((run.path / "state.json").read_text())["state"] == "interrupted"
        assert not (run.path / "bundle").exists()
        press_ctrl_c(int(draws.integers(1, 8)))
        run = nw.resume(run.path, quiet=True)
        sittings += 1
        assert sittings < 2 * STEPS
    assert sittings >= 3
    assert results(run.path) == expected
    assert compare_runs(tmp_path / "whole", run.path) == []  # the optimizer's state too
    assert (run.result()["stopped_by"] == "patience") is (training.get("epochs", 3) > len(run.history))


def test_no_schedule_is_left_out() -> None:
    assert {case[1]["name"] for case in CASES} == set(LR_SCHEDULERS.parts) - {"custom"}


def test_evaluations_inside_an_epoch_survive_an_interruption(
    tmp_path: Path, press_ctrl_c: Callable[[int], None]
) -> None:
    constant = {"name": "constant"}
    expected = results(train(tmp_path / "whole", constant, epochs=1, eval_every_steps=1).path)
    press_ctrl_c(3)
    assert train(tmp_path / "broken", constant, epochs=1, eval_every_steps=1).interrupted
    press_ctrl_c(0)
    run = nw.resume(tmp_path / "broken", quiet=True)
    assert results(run.path) == expected
    assert [look["step"] for look in run.history[0]["evaluations"]] == [1, 2, 3, 4]


def test_epochs_of_one_batch_can_be_interrupted(tmp_path: Path, press_ctrl_c: Callable[[int], None]) -> None:
    """There is no place between two steps of an epoch that has one."""
    settings: dict[str, Any] = {"model": "linear", "quiet": True, "runtime": {"threads": 1, "device": "cpu"}}
    training = {"epochs": 6, "batch_size": 5000}
    expected = results(nw.train("digits", out=tmp_path / "whole", training=training, **settings).path)
    press_ctrl_c(3)
    run = nw.train("digits", out=tmp_path / "broken", training=training, **settings)
    assert run.interrupted
    assert len(run.history) == 3
    press_ctrl_c(0)
    assert results(nw.resume(run.path, quiet=True).path) == expected


def test_going_on_past_the_end_equals_the_longer_run(tmp_path: Path) -> None:
    """With a constant lr nothing of the shorter run depends on where it was to end."""
    longer = results(train(tmp_path / "longer", {"name": "constant"}, epochs=4, patience=None).path)
    shorter = train(tmp_path / "shorter", {"name": "constant"}, epochs=2, patience=None)
    assert len(shorter.history) == 2
    assert results(nw.resume(shorter.path, epochs=4, quiet=True).path) == longer


def test_going_on_past_the_end_says_the_new_schedule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(tmp_path / "run", {"name": "one_cycle"}, epochs=1)
    nw.resume(run.path, epochs=2)
    assert "one_cycle over 2 epochs in place of 1" in capsys.readouterr().out
    assert nw.load(run.path).recipe.training.epochs == 2


@pytest.mark.parametrize("ended_by", ["epochs", "patience", "time"])
def test_resuming_a_finished_run_changes_nothing(ended_by: str, tmp_path: Path) -> None:
    training: dict[str, Any] = {
        "epochs": {"epochs": 2},
        "patience": {"epochs": 9, "patience": 1},
        "time": {"epochs": 9, "max_minutes": 1e-6},
    }[ended_by]
    run = nw.train("digits", out=tmp_path / "run", training=training, **STANDING_STILL)
    assert json.loads((run.path / "metrics.json").read_text())["stopped_by"] == ended_by
    run.evaluate("test")
    before, metrics = results(run.path), (run.path / "metrics.json").read_bytes()
    again = nw.resume(run.path, quiet=True)
    assert results(again.path) == before
    assert (run.path / "metrics.json").read_bytes() == metrics


@pytest.mark.parametrize("patience", [1, 2])
def test_killed_between_the_last_checkpoint_and_the_results(patience: int, tmp_path: Path) -> None:
    """What is still to be done then is to write the results, and nothing more is trained."""
    settings: dict[str, Any] = {
        "model": "linear",
        "quiet": True,
        "threads": 1,
        "optimizer": {"name": "sgd", "lr": 1e-30},
    }
    run = nw.train("digits", out=tmp_path / "run", training={"epochs": 9, "patience": patience}, **settings)
    assert len(run.history) == 1 + patience
    expected = results(run.path)
    shutil.rmtree(run.path / "bundle")
    (run.path / "metrics.json").unlink()
    write_sealed(run.path / "state.json", {"state": "running", "reason": ""})
    assert results(nw.resume(run.path, quiet=True).path) == expected


def test_going_on_past_patience_trains_to_the_new_total(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "model": "linear",
        "quiet": True,
        "threads": 1,
        "optimizer": {"name": "sgd", "lr": 1e-30},
    }
    run = nw.train("digits", out=tmp_path / "run", training={"epochs": 9, "patience": 1}, **settings)
    assert len(run.history) == 2
    assert len(nw.resume(run.path, epochs=5, quiet=True).history) == 5


def test_going_on_past_the_allowed_time_trains_to_the_new_total(tmp_path: Path) -> None:
    training = {"epochs": 3, "max_minutes": 1e-6}
    run = nw.train("digits", out=tmp_path / "run", model="linear", quiet=True, threads=1, training=training)
    assert run.result()["stopped_by"] == "time"
    assert run.metrics["val"]["num_samples"] == 270
    again = nw.resume(run.path, epochs=3, quiet=True)
    assert len(again.history) == 3
    assert again.result()["stopped_by"] == "epochs"


LINE = [
    "train", "digits", "--threads", 1, "--device", "cpu", "--out", "run", "--epochs", 3, "--model", "cnn", "--seed", 5,
    "--set", "model.channels=[4, 8]", "--set", "model.batch_norm=true", "--set", "model.dropout=0.2",
    "--set", "training.batch_size=100", "--set", "training.checkpoint_seconds=0",
    "--set", "augmentation=[{name: random_crop, padding: 1}, {name: horizontal_flip}]",
]  # fmt: skip
Start = Callable[[Sequence[object]], subprocess.Popen[str]]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 100
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_killed_in_the_middle_of_an_epoch(tmp_path: Path, start: Start, shell: Callable[..., Any]) -> None:
    """SIGKILL, with a checkpoint after every step; `netwright resume` ends with the same bytes."""
    with start(LINE) as process:
        wait_for((tmp_path / "run" / "checkpoints" / "previous").is_dir, process)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    stood = json.loads(_newest(tmp_path / "run" / "checkpoints").read_text())["progress"]
    assert stood["batch"] > 0
    assert json.loads((tmp_path / "run" / "state.json").read_text())["state"] == "running"
    said = shell("resume", "run", "--json")
    assert said.code == 0, said.err
    assert len(json.loads(said.out)["history"]) == 3
    whole = nw.train(
        "digits",
        out=tmp_path / "whole",
        quiet=True,
        seed=5,
        model={"name": "cnn", "channels": [4, 8], "batch_norm": True, "dropout": 0.2},
        augmentation=HARD["augmentation"],
        training={"epochs": 3, "batch_size": 100, "checkpoint_seconds": 0},
        runtime={"threads": 1, "device": "cpu"},
    )
    assert results(tmp_path / "run") == results(whole.path)


def _newest(checkpoints: Path) -> Path:
    whole = [checkpoints / name for name in ("current", "previous") if (checkpoints / name / "manifest.json").exists()]
    return whole[0] / "state.json"


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_sigterm_leaves_a_run_that_says_it_was_interrupted(tmp_path: Path, start: Start) -> None:
    line = [*LINE, "--set", "training.epochs=5000", "--set", "training.checkpoint_seconds=300"]
    with start(line) as process:
        wait_for(lambda: (tmp_path / "run" / "history.jsonl").exists() and _size(tmp_path / "run") > 0, process)
        process.terminate()
        _, err = process.communicate(timeout=150)
    assert process.returncode == 5, err
    assert "interrupted " in err
    assert "netwright resume run" in err
    assert "Traceback" not in err
    assert json.loads((tmp_path / "run" / "state.json").read_text())["state"] == "interrupted"
    assert (tmp_path / "run" / "checkpoints" / "current" / "manifest.json").exists()


def _size(folder: Path) -> int:
    return (folder / "history.jsonl").stat().st_size


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("place", ["open_prepared", "announce", "fit"])
def test_killed_before_the_first_checkpoint_starts_over(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netwright.workflows import sitting

    expected = results(train(tmp_path / "whole", {"name": "cosine"}, epochs=1).path)
    with monkeypatch.context() as patch:
        patch.setattr(sitting, place, _dies)
        with pytest.raises(Killed):
            train(tmp_path / "broken", {"name": "cosine"}, epochs=1)
    assert not has_checkpoint(tmp_path / "broken" / "checkpoints")
    assert results(nw.resume(tmp_path / "broken", quiet=True).path) == expected


def test_killed_when_there_was_nothing_but_the_recipe(tmp_path: Path) -> None:
    whole = nw.train("digits", out=tmp_path / "whole", model="linear", quiet=True, threads=1, epochs=1, device="cpu")
    (tmp_path / "broken").mkdir()
    shutil.copy(whole.path / "recipe.yaml", tmp_path / "broken")
    assert results(nw.resume(tmp_path / "broken", quiet=True).path) == results(whole.path)


def _dies(*arguments: Any, **named: Any) -> None:
    raise Killed


@pytest.mark.parametrize("call", range(0, 24, 3))
def test_killed_while_a_checkpoint_is_written(call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies at any of the moves by which one checkpoint takes another's place."""
    settings: dict[str, Any] = {"model": "linear", "quiet": True, "threads": 1, "seed": 2}
    training = {"epochs": 1, "batch_size": 300, "checkpoint_seconds": 0}
    expected = results(nw.train("digits", out=tmp_path / "whole", training=training, **settings).path)
    count = 0

    def dying(plain: Callable[..., Any]) -> Callable[..., Any]:
        def move(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == call + 1:
                raise Killed
            return plain(*arguments, **named)

        return move

    with monkeypatch.context() as patch:
        for module, name in ((os, "replace"), (shutil, "rmtree"), (os, "fsync")):
            patch.setattr(module, name, dying(getattr(module, name)))
        try:
            nw.train("digits", out=tmp_path / "broken", training=training, **settings)
        except Killed:
            pass
    if not (tmp_path / "broken" / "recipe.yaml").exists():
        return  # died before there was a run
    assert results(nw.resume(tmp_path / "broken", quiet=True).path) == expected
