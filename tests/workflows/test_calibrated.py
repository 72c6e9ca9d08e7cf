"""The temperature from val to what is shown: metrics, bundle, predictions; and the outputs that a run keeps."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import netwright as nw
from netwright.evaluation.calibration import fit_temperature
from netwright.runs.outputs import load_outputs

Arrays = tuple[np.ndarray, np.ndarray]


def described(run: nw.Run) -> dict:
    found = json.loads((run.path / "bundle" / "bundle.json").read_text())
    assert isinstance(found, dict)
    return found


def test_the_bundles_temperature_is_that_of_the_kept_val_outputs(trained: nw.Run) -> None:
    kept = load_outputs(trained.path / "outputs" / "val.safetensors")
    assert described(trained)["temperature"] == fit_temperature(kept.answers, kept.targets)
    assert kept.about["epoch"] == trained.best_epoch
    split = json.loads((trained.path / "split.json").read_text())["splits"]["val"]
    assert kept.rows.tolist() == split
    assert (kept.predictions == kept.targets).mean() == trained.metrics["val"]["accuracy"]


def test_shown_probabilities_are_the_calibrated_ones(trained: nw.Run, digits: Arrays) -> None:
    kept = load_outputs(trained.path / "outputs" / "val.safetensors")
    answers = trained.predict(digits[0][kept.rows])
    found = np.array([[answer["probabilities"][str(k)] for k in range(10)] for answer in answers])
    logits = torch.from_numpy(kept.answers).double() / described(trained)["temperature"]
    assert np.allclose(found, logits.softmax(dim=1).numpy(), atol=1e-6)
    assert [answer["label"] for answer in answers] == [str(k) for k in kept.predictions]
    assert "Probabilities are calibrated" in (trained.path / "bundle" / "card.md").read_text()


def test_test_outputs_are_kept_once_it_was_opened(copied: nw.Run) -> None:
    path = copied.path / "outputs" / "test.safetensors"
    assert not path.exists()
    found = copied.evaluate("test")["metrics"]
    kept = load_outputs(path)
    assert (kept.predictions == kept.targets).mean() == found["accuracy"]
    assert found["calibration"]["how"] == "fitted on val"
    nw.resume(copied.path, epochs=4, quiet=True)
    assert path.exists() == ("test" in copied.metrics)  # outputs of other weights are not kept


def test_without_val_nothing_is_calibrated(digits: Arrays, tmp_path: Path) -> None:
    images, targets = digits
    split = {"val": 0.0, "test": 0.1}
    run = nw.train((images, targets), model="linear", epochs=1, split=split, out=tmp_path / "r", threads=1, quiet=True)
    assert described(run)["temperature"] is None
    found = run.evaluate("test")["metrics"]["calibration"]
    assert found["temperature"] is None and "before" not in found
    assert "not calibrated" in (run.path / "bundle" / "card.md").read_text()


@pytest.mark.parametrize("criterion", ["bce_with_logits", "bce"])
def test_one_output_is_calibrated_too(criterion: str, digits: Arrays, tmp_path: Path) -> None:
    kept = np.isin(digits[1], [3, 8])
    run = nw.train(
        (digits[0][kept], (digits[1][kept] == 8).astype(int)), model="linear", criterion=criterion, epochs=3, lr=0.01,
        out=tmp_path / "r", threads=1, quiet=True,
    )  # fmt: skip
    outputs = load_outputs(run.path / "outputs" / "val.safetensors")
    temperature = described(run)["temperature"]
    assert temperature is not None and temperature != 1
    logits = outputs.answers[:, 1] - outputs.answers[:, 0]
    answers = run.predict(digits[0][kept][outputs.rows])
    found = [answer["probabilities"]["1"] for answer in answers]
    assert np.allclose(found, 1 / (1 + np.exp(-logits / temperature)), atol=1e-5)


@pytest.mark.parametrize(
    "criterion",
    [
        {"name": "cross_entropy", "class_weights": "balanced"},
        {"name": "cross_entropy", "label_smoothing": 0.1, "class_weights": [1.0, 2.0, 3.0]},
        {"name": "nll"},
    ],
)
def test_every_loss_has_its_interval(criterion: dict, digits: Arrays, tmp_path: Path) -> None:
    few = np.isin(digits[1], [1, 2, 3]) & (np.arange(len(digits[1])) < 400)
    run = nw.train(
        (digits[0][few], digits[1][few] - 1), model="linear", criterion=criterion, epochs=1, out=tmp_path / "r",
        threads=1, quiet=True,
    )  # fmt: skip
    found = run.metrics["val"]
    low, high = found["intervals"]["loss"]
    assert low < found["loss"] < high


def test_a_loss_of_ones_own_has_no_interval(tmp_path: Path) -> None:
    def criterion(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return 3 * torch.nn.functional.cross_entropy(logits, targets)

    run = nw.train("digits", model="linear", criterion=criterion, epochs=1, out=tmp_path / "r", threads=1, quiet=True)
    assert run.metrics["val"]["intervals"]["loss"] is None
    assert run.metrics["val"]["calibration"]["temperature"] is not None


def test_baselines_and_diagnosis_are_beside_the_accuracy(copied: nw.Run, digits: Arrays) -> None:
    found = copied.metrics["val"]["baselines"]
    split = json.loads((copied.path / "split.json").read_text())["splits"]
    counts = np.bincount(digits[1][split["train"]])
    assert found["majority"]["label"] == str(counts.argmax())
    assert found["majority"]["accuracy"] == (digits[1][split["val"]] == counts.argmax()).mean()
    assert found["nearest_neighbours"]["accuracy"] > 0.95  # pixels nearly are enough for these
    assert found["nearest_neighbours"]["num_train"] == len(split["train"])
    assert copied.evaluate("val")["metrics"]["baselines"] == found
    assert copied.evaluate("test")["metrics"]["baselines"]["majority"]["num_samples"] == 270
    assert copied.result()["diagnosis"] == json.loads((copied.path / "metrics.json").read_text())["diagnosis"]
    assert copied.result()["diagnosis"]["sentence"].endswith(".")
