"""The runner on some hundred images: ours and the classic loop do the work, and the overhead is measured."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import run


def small_mnist(folder: Path) -> Path:
    """Write MNIST's four files with ten easy classes, no image twice; the runner cuts 5,000 of train for validation."""
    noise = np.random.default_rng(0)
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in (("train", 5_300), ("t10k", 100)):
        targets = (np.arange(count) % 10).astype(np.uint8)
        images = noise.integers(0, 50, (count, 28, 28), dtype=np.uint8)
        images[np.arange(count), :, targets * 2] = 255
        head = np.array([2051, count, 28, 28], ">i4").tobytes()
        (raw / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + images.tobytes(), 1))
        head = np.array([2049, count], ">i4").tobytes()
        (raw / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + targets.tobytes(), 1))
    return folder


def test_the_runner_measures_ours_and_the_classic_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, scratch = small_mnist(tmp_path / "data"), tmp_path / "scratch"
    options = f"--data {data} --scratch {scratch} --images 300 --pairs 1 --threads 1 --only mnist-mlp-64"
    monkeypatch.setattr(sys, "argv", ["run", *options.split(), "--sides", "classic,ours-exact"])
    run.main()
    record = json.loads((scratch / "mnist-mlp-64.json").read_text())
    assert not record["failed"]
    assert {found["side"] for found in record["runs"]} == {"classic", "ours-exact"}
    assert record["num_images"] == 300
    for found in record["runs"]:
        assert 0 < found["seconds"] < found["process_seconds"]
        assert 0.1 < found["accuracy"] <= 1  # of ten easy classes, after five steps
    page = (scratch / "quick.md").read_text(encoding="utf-8")
    assert "| classic loop ÷ netwright --exact |" in page


def test_the_overhead_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, scratch = small_mnist(tmp_path / "data"), tmp_path / "scratch"
    options = f"--data {data} --scratch {scratch} --images 300 --pairs 1 --threads 1 --only overhead"
    monkeypatch.setattr(sys, "argv", ["run", *options.split()])
    monkeypatch.setattr(run, "describe_machine", lambda: {"hardware_bf16": False} | MACHINE)
    run.main()
    record = json.loads((scratch / "overhead.json").read_text())
    assert record["runs"][0]["detail"]["alone_microseconds"] > 0


MACHINE = {"processor": "", "capability": "", "cores": 1, "versions": {}}
