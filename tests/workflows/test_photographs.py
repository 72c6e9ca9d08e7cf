"""Photographs of many sizes under random resized crop, which the store keeps whole: from training to the report."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.runs.outputs import load_outputs


def test_training_evaluating_and_reporting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    for label, brightness in (("dark", 60), ("light", 190)):  # so far apart that the nearest image is of the class
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(24):
            pixels = random.integers(brightness - 40, brightness + 40, (30 + number % 5, 40 - number % 7, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / label / f"{number}.png")
    wrong = random.integers(150, 230, (32, 32, 3), dtype=np.uint8)
    for number in range(24, 30):  # light images under the other label: mistakes and suspects to be drawn
        Image.fromarray(np.roll(wrong, 5 * number, axis=0)).save(tmp_path / "photos" / "dark" / f"{number}.png")
    run = nw.train(
        tmp_path / "photos", model={"name": "cnn", "channels": [4]}, image_size=16, epochs=4, lr=0.01, seed=0,
        out=tmp_path / "run", quiet=True, runtime={"threads": 1}, augmentation=[{"name": "random_resized_crop"}],
    )  # fmt: skip
    found = run.metrics["val"]["baselines"]["nearest_neighbours"]
    assert found["num_train"] == run.history[0]["num_train_samples"] and found["accuracy"] >= 0.75
    suspect = {"label": "dark", "looks_like": "light", "source": "", "probability": 0.9}
    drawn: list[np.ndarray] = []
    monkeypatch.setattr("netwright.report.examples.plot_examples", lambda images, *_, **__: drawn.extend(images))
    monkeypatch.setattr(
        "netwright.workflows.judging_classes.suspect_images",
        lambda *_: {"num_suspects": 1, "images": [{**suspect, "row": val}]},
    )
    val = int(load_outputs(run.folder.outputs_of("val")).rows[0])
    assert run.evaluate("val")["metrics"]["accuracy"] >= 0.6
    assert [picture.shape for picture in drawn] == [(16, 16, 3)]
    assert "features.0.conv" in run.report().read_text(encoding="utf-8")
