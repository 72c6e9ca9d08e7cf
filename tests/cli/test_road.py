"""The road on real images (scikit-learn's digits), verb after verb, as a user types it."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from netwright.cli.main import run

TRAIN = "train digits --model mlp --epochs 2 --lr 0.003 --threads 1 --seed 1"


class Shell:
    """Runs command lines in one folder and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, line: str, exit_code: int = 0) -> str:
        self.capsys.readouterr()
        code = run(line.split())
        self.shown = self.capsys.readouterr()
        assert code == exit_code, self.shown.err
        return self.shown.out

    def json(self, line: str, exit_code: int = 0) -> dict:
        answer = json.loads(self(f"{line} --json", exit_code))
        assert isinstance(answer, dict)
        return answer


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with one finished run, runs/digits-1, and some digits as files."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run([*TRAIN.split(), "--quiet"]) == 0
        digits = load_digits()
        (folder / "images").mkdir()
        for place in range(3):
            pixels = (digits.images[place] * 255 / 16).round().astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{digits.target[place]}.png")
        (folder / "broken").mkdir()
        (folder / "broken" / "a.png").write_bytes(b"not an image")
        yield folder


@pytest.fixture
def shell(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(home)
    return Shell(capsys)


def test_train_says_what_was_reached_and_what_is_next(shell: Shell, tmp_path: Path) -> None:
    shown = shell(f"{TRAIN} --out {tmp_path / 'a'}")
    assert "val accuracy" in shown
    assert "n = 270" in shown
    assert shown.strip().splitlines()[-1].startswith(f"next: netwright evaluate {tmp_path / 'a'} --split test")
    assert "Warning" not in shell.shown.err


def test_train_quiet_prints_the_result_only(shell: Shell, tmp_path: Path) -> None:
    shown = shell(f"{TRAIN} --quiet --out {tmp_path / 'a'}")
    assert "epoch " not in shown.replace("best epoch ", "")
    assert shell.shown.err == ""


def test_train_json_is_the_contracts(shell: Shell, tmp_path: Path) -> None:
    answer = shell.json(f"{TRAIN} --test --out {tmp_path / 'a'}")
    assert answer["run"] == str(tmp_path / "a")
    assert answer["best_epoch"] in (1, 2)
    assert set(answer["metrics"]) == {"val", "test"}
    assert set(answer["metrics"]["val"]) >= {"accuracy", "accuracy_interval", "loss", "num_samples"}
    assert [record["epoch"] for record in answer["history"]] == [1, 2]
    wanted = {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "train_seconds", "val_seconds"}
    assert all(set(record) >= wanted | {"num_train_samples"} for record in answer["history"])


def test_train_refuses_a_folder_that_exists(shell: Shell, home: Path) -> None:
    before = sorted(path.name for path in (home / "runs" / "digits-1").iterdir())
    shell("train --out runs/digits-1", exit_code=2)
    assert "exists already" in shell.shown.err
    assert sorted(path.name for path in (home / "runs" / "digits-1").iterdir()) == before


def test_evaluate_prints_what_judges(shell: Shell) -> None:
    answer = shell.json("evaluate digits-1")
    shown = shell("evaluate runs/digits-1")
    accuracy = answer["metrics"]["accuracy"]
    assert f"{100 * accuracy:.1f} %" in shown
    for words in ("loss", "top-3 accuracy", "balanced accuracy", "F1, macro", "ROC-AUC", "average precision"):
        assert words in shown
    assert "confusion matrix: runs/digits-1/plots/confusion-val.png" in shown
    assert len([line for line in shown.splitlines() if line[:1].isdigit()]) == 10


def test_every_look_at_test_is_counted(shell: Shell, tmp_path: Path) -> None:
    shell(f"{TRAIN} --quiet --out {tmp_path / 'a'}")
    assert "first look" in shell(f"evaluate {tmp_path / 'a'} --split test")
    assert "look number 2 at this test split, at the same network each time" in shell(
        f"evaluate {tmp_path / 'a'} --split test"
    )


def test_predict_as_a_table_json_and_csv(shell: Shell) -> None:
    answer = shell.json("predict digits-1 images --top 2")
    assert [Path(each["source"]).name for each in answer["predictions"]] == ["0.png", "1.png", "2.png"]
    shown = shell("predict digits-1 images --top 2")
    for each in answer["predictions"]:
        line = next(line for line in shown.splitlines() if each["source"] in line)
        assert f"{100 * each['probability']:.1f} %" in line
    rows = list(csv.DictReader(io.StringIO(shell("predict digits-1 images --format csv"))))
    assert [row["label"] for row in rows] == [each["label"] for each in answer["predictions"]]
    assert sum(float(rows[0][str(digit)]) for digit in range(10)) == pytest.approx(1, abs=1e-5)
    assert len(shell.json("predict digits-1 images")["predictions"][0]["probabilities"]) == 10


def test_predict_draws_a_picture(shell: Shell, tmp_path: Path) -> None:
    shown = shell(f"predict digits-1 images --plot {tmp_path / 'seen.png'}")
    assert f"picture: {tmp_path / 'seen.png'}" in shown
    assert Image.open(tmp_path / "seen.png").size[0] > 100


def test_predict_names_what_cannot_be_read(shell: Shell) -> None:
    answer = shell.json("predict digits-1 images broken")
    assert ["error" in each for each in answer["predictions"]] == [False, False, False, True]
    assert "1 of 4 images could not be read" in shell.shown.err
    shell("predict digits-1 broken", exit_code=2)
    shell("predict digits-1 nowhere", exit_code=2)
    assert "nowhere" in shell.shown.err


def test_resume_goes_on_past_the_end(shell: Shell, tmp_path: Path) -> None:
    shell(f"{TRAIN} --quiet --out {tmp_path / 'a'}")
    assert len(shell.json(f"resume {tmp_path / 'a'} --epochs 3")["history"]) == 3
    shell(f"resume {tmp_path / 'a'} --epochs 2", exit_code=2)
    shell("resume nothing", exit_code=2)


def test_runs_lists_shows_and_compares(shell: Shell, tmp_path: Path) -> None:
    shell(f"{TRAIN} --quiet --epochs 1 --out {tmp_path / 'b'}")
    rows = shell.json("runs")["runs"]
    assert [row["name"] for row in rows] == ["digits-1"]
    assert "digits-1  done" in shell("runs")
    assert shell.json("runs show digits-1")["recipe"]["model"]["name"] == "mlp"
    shown = shell("runs show digits-1")
    assert "model " in shown
    assert "best" in shown
    compared = shell(f"runs compare digits-1 {tmp_path / 'b'}")
    assert "training.epochs" in compared
    assert "on the same 270 val images" in compared
    assert shell.json(f"runs compare digits-1 {tmp_path / 'b'}")["differing"]["training.epochs"] == [2, 1]
    assert "no runs in" in shell(f"runs --folder {tmp_path / 'none'}")


def test_data_describes_and_draws_only_where_asked(shell: Shell, tmp_path: Path, home: Path) -> None:
    before = sorted(home.rglob("*"))
    shown = shell("data digits --classes 3,5")
    assert sorted(home.rglob("*")) == before
    assert "--grid" in shown
    assert "mean" in shown
    shell.json(f"data digits --grid {tmp_path / 'grid.png'}")
    assert Image.open(tmp_path / "grid.png").size[0] > 100


def test_without_a_test_split_none_is_offered(shell: Shell, tmp_path: Path) -> None:
    shown = shell(f"{TRAIN} --quiet --set split.test=0 --out {tmp_path / 'a'}")
    assert "--split test" not in shown
    assert shown.strip().splitlines()[-1].startswith("next: netwright predict")
    assert "--split test" not in shell(f"evaluate {tmp_path / 'a'}")
    shell(f"evaluate {tmp_path / 'a'} --split test", exit_code=2)


def test_seeds_are_a_series(shell: Shell, tmp_path: Path) -> None:
    shown = shell(f"{TRAIN} --epochs 1 --seeds 2 --quiet --out {tmp_path / 's'}")
    assert [line.split()[0] for line in shown.splitlines() if line.strip()[:1].isdigit()] == ["1", "2"]
    assert "standard deviation of 2 seeds" in shown
    answer = shell.json(f"{TRAIN} --epochs 1 --seeds 2 --out {tmp_path / 's'}")
    assert [run["seed"] for run in answer["runs"]] == [1, 2]
    assert "s/seed-1" in shell(f"runs --folder {tmp_path}")
    shell(f"{TRAIN} --vary-split", exit_code=2)


def test_inspect_prints_the_layers_and_draws_pictures(shell: Shell, tmp_path: Path) -> None:
    shell(f"train digits --set model.channels=[4,4] --epochs 1 --threads 1 --quiet --out {tmp_path / 'cnn'}")
    shown = shell(f"inspect {tmp_path / 'cnn'}")
    rows = [line.split("  ") for line in shown.splitlines()]
    parts = [(row[0], row[-1].strip()) for row in rows if row[0].endswith(("conv", "head"))]
    assert parts == [("features.0.conv", "40"), ("features.1.conv", "148"), ("head", "170")]
    assert "374 parameters; input 1 × 8 × 8" in shown
    shown = shell(f"inspect {tmp_path / 'cnn'} images broken --out {tmp_path / 'seen'} --class 3")
    assert shown.count("%") == 3 and "broken/a.png" in shown
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == [
        *(f"feature-maps-{number}.png" for number in (1, 2, 3)), "filters.png", "grad-cam.png",
    ]  # fmt: skip
    answer = shell.json(f"inspect {tmp_path / 'cnn'}")
    assert sum(layer["num_parameters"] for layer in answer["summary"]["layers"]) == 374
    assert "no convolution" in (shell("inspect digits-1 images", 2) or shell.shown.err)
