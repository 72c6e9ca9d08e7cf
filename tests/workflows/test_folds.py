"""All of train and val judged by folds: planted wrong labels are found, nobody judges what it was trained on."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netwright as nw
from netwright.cli.main import run as run_command
from netwright.runs.outputs import load_outputs

Arrays = tuple[np.ndarray, np.ndarray]
FOLDS = 3


def split_of(path: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = json.loads(path.read_text())["splits"]
    return found


@pytest.fixture(scope="module")
def wrong(digits: Arrays) -> np.ndarray:
    """The rows whose label is exchanged for another: 5 % of all."""
    return np.random.default_rng(0).choice(len(digits[1]), 90, replace=False)


@pytest.fixture(scope="module")
def given(digits: Arrays, wrong: np.ndarray) -> Arrays:
    targets = digits[1].copy()
    targets[wrong] = (targets[wrong] + np.random.default_rng(1).integers(1, 10, len(wrong))) % 10
    return digits[0], targets


@pytest.fixture(scope="module")
def judged(given: Arrays, tmp_path_factory: pytest.TempPathFactory) -> tuple[nw.Run, dict[str, Any]]:
    out = tmp_path_factory.mktemp("folds") / "run"
    run = nw.train(given, model="mlp", epochs=8, lr=0.003, out=out, threads=1, quiet=True)
    return run, run.evaluate_folds(FOLDS)


def test_every_image_is_judged_by_a_network_that_has_not_seen_it(judged: tuple[nw.Run, dict[str, Any]]) -> None:
    run, result = judged
    splits = split_of(run.path / "split.json")
    whole = sorted(splits["train"] + splits["val"])
    held: list[int] = []
    for number in range(1, FOLDS + 1):
        rows = load_outputs(run.path / "folds" / f"fold-{number}.safetensors").rows.tolist()
        trained = split_of(run.path / "folds" / f"split-{number}.json")
        assert set(trained) == {"train", "val"}
        assert sorted(rows + trained["train"] + trained["val"]) == whole
        assert len(trained["val"]) == pytest.approx(0.1 * (len(whole) - len(rows)), abs=1)
        held += rows
    assert sorted(held) == whole
    assert result["metrics"]["num_samples"] == len(whole)
    assert not (run.path / "ledger.jsonl").exists()
    assert not list((run.path / "folds").glob("fold-*/"))  # their networks are gone


def test_planted_wrong_labels_are_found(
    judged: tuple[nw.Run, dict[str, Any]], given: Arrays, wrong: np.ndarray, digits: Arrays
) -> None:
    run, result = judged
    with Path(result["list"]).open(newline="") as file:
        listed = list(csv.DictReader(file))
    rows = [int(each["source"].split("/")[1]) for each in listed]
    test = split_of(run.path / "split.json")["test"]
    assert not set(rows) & set(test)
    planted = set(wrong.tolist()) - set(test)
    found = planted & set(rows)
    assert len(found) >= 0.7 * len(planted)
    assert len(found) >= 0.85 * len(rows)
    right = [each["looks_like"] == str(digits[1][row]) for each, row in zip(listed, rows, strict=True) if row in found]
    assert np.mean(right) >= 0.9
    assert [each["label"] for each in listed] == [str(given[1][row]) for row in rows]
    suspects = result["metrics"]["suspects"]
    assert suspects["num_suspects"] == len(rows)
    assert [image["row"] for image in suspects["images"]] == rows[:50]


def test_accuracy_is_that_of_what_was_said(judged: tuple[nw.Run, dict[str, Any]], given: Arrays) -> None:
    run, result = judged
    answers = [load_outputs(run.path / "folds" / f"fold-{number}.safetensors") for number in (1, 2, 3)]
    rights = [each.answers.argmax(1) == given[1][each.rows] for each in answers]
    assert result["metrics"]["fold_accuracies"] == pytest.approx([right.mean() for right in rights])
    assert result["metrics"]["accuracy"] == pytest.approx(np.concatenate(rights).mean())
    assert run.metrics["val"]["accuracy"] > 0.8
    assert json.loads((run.path / "metrics.json").read_text())["folds"] == result["metrics"]


def test_they_are_in_plot_and_report(judged: tuple[nw.Run, dict[str, Any]], tmp_path: Path) -> None:
    run, result = judged
    assert Path(result["plot"]) == run.path / "plots" / "suspects-folds.png"
    text = run.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "In all of train and val" in text
    assert f'label <span class="said"><bdi>{result["metrics"]["suspects"]["images"][0]["label"]}</bdi>' in text
    assert f'alt="The image {result["metrics"]["suspects"]["images"][0]["source"]}"' in text


def test_interrupted_it_goes_on_to_the_same_end(
    judged: tuple[nw.Run, dict[str, Any]], given: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, whole = judged
    copy = Path(shutil.copytree(run.path, tmp_path / "copy"))
    before = {path.name: path.read_bytes() for path in (copy / "folds").glob("fold-*.safetensors")}
    again = nw.load(copy, data=given).evaluate_folds(FOLDS)  # nothing is trained a second time
    assert again["metrics"] == whole["metrics"]
    for number in (2, 3):
        (copy / "folds" / f"fold-{number}.safetensors").unlink()
    epochs: list[int] = []

    def stop(record: dict[str, Any], model: Any) -> None:
        epochs.append(record["epoch"])
        if len(epochs) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = nw.load(copy, data=given)
    stopped.own = nw.workflows.own.Own(data=given, on_epoch=stop)
    assert stopped.evaluate_folds(FOLDS)["interrupted"]
    assert epochs == [1, 2]
    assert not (copy / "folds" / "fold-2.safetensors").exists()
    assert nw.load(copy, data=given).evaluate_folds(FOLDS)["metrics"] == whole["metrics"]
    assert {path.name: path.read_bytes() for path in (copy / "folds").glob("fold-*.safetensors")} == before


def test_other_folds_begin_anew_and_damaged_answers_are_made_again(copied: nw.Run) -> None:
    first = copied.evaluate_folds(2)
    answers = copied.path / "folds" / "fold-1.safetensors"
    whole = answers.read_bytes()
    answers.write_bytes(whole[:-40])
    assert copied.evaluate_folds(2)["metrics"] == first["metrics"]
    assert answers.read_bytes() == whole
    other = copied.evaluate_folds(3)
    assert len(other["metrics"]["fold_accuracies"]) == 3
    assert len(list((copied.path / "folds").glob("*.safetensors"))) == 3


def test_the_command(copied: nw.Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["evaluate", str(copied.path), "--folds", "2", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "train and val in 2 folds" in shown and "n = 1527" in shown
    assert f"{copied.path / 'folds' / 'suspects.csv'}" in shown
    assert run_command(["evaluate", str(copied.path), "--folds", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["num_samples"] == 1527
    assert run_command(["evaluate", str(copied.path), "--folds", "2", "--split", "test"]) == 2
    assert "--folds judges all of train and val" in capsys.readouterr().err
    assert run_command(["evaluate", str(copied.path), "--folds", "1"]) == 2
