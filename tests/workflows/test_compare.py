"""Two runs on the same images: paired by content, refused on others, silent about test until both were opened."""

from pathlib import Path

import numpy as np
import pytest

import netwright as nw
from netwright.runs.outputs import load_outputs

Arrays = tuple[np.ndarray, np.ndarray]


def test_a_better_run_is_told_from_a_worse(copied: nw.Run, tmp_path: Path) -> None:
    worse = nw.train("digits", model="linear", epochs=1, lr=1e-4, out=tmp_path / "worse", threads=1, quiet=True)
    compared = nw.compare(copied.path, worse.path)
    found = compared["comparison"]
    kept = [load_outputs(run.path / "outputs" / "val.safetensors") for run in (copied, worse)]
    right = [outputs.predictions == outputs.targets for outputs in kept]
    assert found["accuracies"] == [right[0].mean(), right[1].mean()]
    assert found["only_first_right"] == (right[0] & ~right[1]).sum()
    assert found["distinguishable"] and found["accuracy_difference"] < 0
    assert "optimizer.lr" in compared["differing"]
    assert not nw.compare(copied.path, copied.path)["comparison"]["distinguishable"]
    with pytest.raises(nw.InputError, match=r"has no outputs on test.*the look is counted"):
        nw.compare(copied.path, worse.path, split="test")
    copied.evaluate("test"), worse.evaluate("test")
    assert nw.compare(copied.path, worse.path, split="test")["comparison"]["num_samples"] == 270
    assert copied.evaluate("test")["looks"] == 3  # reading what is kept was none


def test_other_images_are_refused_with_what_is_common(copied: nw.Run, tmp_path: Path) -> None:
    other = nw.train("digits", model="linear", epochs=1, split={"seed": 1}, out=tmp_path / "o", threads=1, quiet=True)
    compared = nw.compare(copied.path, other.path)
    assert "comparison" not in compared
    rows = [load_outputs(run.path / "outputs" / "val.safetensors").samples for run in (copied, other)]
    common = len(set(rows[0]) & set(rows[1]))
    assert 0 < common < 100
    assert f"(270 and 270, {common} in common)" in compared["not_compared"]
    with pytest.raises(nw.InputError, match="not judged on the same val images"):
        nw.compare(copied.path, other.path, split="val")


def test_images_are_paired_by_content_not_by_place(digits: Arrays, tmp_path: Path) -> None:
    """The same val images in another order, with other numbers for the classes."""
    images, targets = digits[0][:300], digits[1][:300]
    parts = {"train": (images[:200], targets[:200]), "val": (images[200:], targets[200:])}
    turned = {name: (x[::-1], y[::-1]) for name, (x, y) in parts.items()}
    runs = [
        nw.train(data, model="linear", epochs=2, lr=0.01, out=tmp_path / name, threads=1, quiet=True, seed=seed)
        for name, data, seed in (("a", parts, 0), ("b", turned, 1))
    ]
    found = nw.compare(runs[0].path, runs[1].path)["comparison"]
    kept = [load_outputs(run.path / "outputs" / "val.safetensors") for run in runs]
    first, second = kept[0].predictions == kept[0].targets, (kept[1].predictions == kept[1].targets)[::-1]
    assert found["only_first_right"] == (first & ~second).sum()
    assert found["only_second_right"] == (second & ~first).sum()
