"""Two runs compared: what training decides counts to the last bit, what the clock decides does not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from netwright.runs.equality import compare_runs, largest_weight_difference

SECONDS = {"train_seconds": 0.25, "val_seconds": 0.01}


def write_run(folder: Path, seconds: float = 1.0) -> Path:
    """A run's files, small, with times that differ between equal runs."""
    for inner in ("bundle", "checkpoints/current", "checkpoints/previous", "outputs", "events"):
        (folder / inner).mkdir(parents=True)
    weights = {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "0.bias": np.ones(2, np.float32)}
    save_file(weights, folder / "bundle" / "model.safetensors")
    save_file(weights, folder / "outputs" / "val.safetensors")
    save_file({f"model/{name}": value for name, value in weights.items()}, folder / CHECKPOINT / "tensors.safetensors")
    progress = {"progress": {"step": 4, "seconds": seconds}, "history": [{"epoch": 1, "train_seconds": seconds}]}
    texts: dict[str, Any] = {
        "bundle/bundle.json": {"epoch": 1},
        "checkpoints/current/state.json": progress,
        "checkpoints/current/manifest.json": {"sha256": str(seconds)},
        "checkpoints/previous/state.json": {"step": seconds},
        "metrics.json": {"seconds": seconds, "val": {"accuracy": 0.5}, "seal": str(seconds)},
        "environment.json": {"started": seconds},
    }
    for name, value in texts.items():
        (folder / name).write_text(json.dumps(value))
    (folder / "recipe.yaml").write_text("data: {source: digits}\n")
    (folder / "history.jsonl").write_text(
        "".join(json.dumps({"epoch": epoch, "loss": 0.1, "train_seconds": seconds}) + "\n" for epoch in (1, 2))
    )
    (folder / "log.txt").write_text(str(seconds))
    return folder


CHECKPOINT = "checkpoints/current"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return write_run(tmp_path / "one"), write_run(tmp_path / "other", seconds=2.0)


def test_equal_runs_may_differ_in_their_times(runs: tuple[Path, Path]) -> None:
    assert compare_runs(*runs) == []
    assert largest_weight_difference(*runs) == 0


def edit_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return edit


def edit_tensor(name: str, tensor: str) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        tensors = load_file(run / name)
        tensors[tensor].reshape(-1).view(np.uint32)[1] ^= 1  # the last bit of one number
        save_file(tensors, run / name)

    return edit


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a weight": (edit_tensor("bundle/model.safetensors", "0.weight"), "bundle/model.safetensors: 0.weight differs by"),
    "the state": (
        edit_tensor(f"{CHECKPOINT}/tensors.safetensors", "model/0.bias"),
        "model/0.bias differs by up to 1.19",
    ),
    "an output": (edit_tensor("outputs/val.safetensors", "0.bias"), "outputs/val.safetensors: 0.bias differs"),
    "a step": (edit_text(f"{CHECKPOINT}/state.json", '"step": 4', '"step": 5'), "[0].progress.step: 4 and 5"),
    "a metric": (edit_text("metrics.json", "0.5", "0.25"), "metrics.json differs at [0].val.accuracy: 0.5 and 0.25"),
    "an epoch": (edit_text("history.jsonl", '"loss": 0.1', '"loss": 0.2'), "history.jsonl differs at [0].loss: 0.1"),
    "a type": (edit_text("metrics.json", "0.5", '"0.5"'), "[0].val.accuracy"),
    "the recipe": (edit_text("recipe.yaml", "digits", "mnist"), "recipe.yaml differs"),
    "bundle spaces": (
        edit_text("bundle/bundle.json", ": 1", ":  1"),
        "bundle/bundle.json differs at a place that is no",
    ),
    "a file gone": (lambda run: (run / "metrics.json").unlink(), "other/metrics.json is not there"),
    "an epoch gone": (lambda run: (run / "history.jsonl").write_text(""), "history.jsonl differs at its top"),
    "a new file": (lambda run: (run / "bundle" / "more.txt").write_text(""), "bundle/more.txt is not there"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_difference_is_named(kind: str, runs: tuple[Path, Path]) -> None:
    change, named = CHANGES[kind]
    change(runs[1])
    found = compare_runs(*runs)
    assert len(found) == 1
    assert named in found[0]


def test_the_largest_difference_of_weights(runs: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "third")
    path = tmp_path / "third" / "bundle" / "model.safetensors"
    tensors = load_file(path)
    tensors["0.weight"][1, 2] += 0.5
    save_file(tensors, path)
    assert largest_weight_difference(runs[0], tmp_path / "third") == 0.5
