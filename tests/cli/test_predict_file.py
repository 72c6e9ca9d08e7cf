"""`netwright predict --out` in processes of its own: killed, resumed, fed through a pipe."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import netwright as nw
from netwright.cli.main import run

NUM_FILES = 400


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, no_plots: None) -> Path:
    """A folder with a bundle and 400 images in shots/, one of them broken."""
    folder = tmp_path_factory.mktemp("home")
    trained = nw.train("digits", model="linear", epochs=1, out=folder / "run", quiet=True, runtime={"threads": 1})
    os.symlink(trained.path / "bundle", folder / "bundle")
    (folder / "shots").mkdir()
    images = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    for place in range(NUM_FILES):
        Image.fromarray(images[place]).save(folder / "shots" / f"{place:04d}.png")
    (folder / "shots" / "0007.png").write_bytes(b"not an image")
    return folder


def command(home: Path, arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "netwright", "predict", str(home / "bundle"), *arguments.split()]


def predict(home: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(home, arguments), cwd=home, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


def wait_for_lines(part: Path, number: int) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (part.exists() and part.read_bytes().count(b"\n") > number):
        time.sleep(0.002)


def test_killed_and_called_again_it_has_every_image_once(home: Path, tmp_path: Path) -> None:
    out, part = tmp_path / "answers.parquet", tmp_path / "answers.parquet.part"
    arguments = f"shots --out {out} --batch-size 2 --json"
    process = subprocess.Popen(command(home, arguments), cwd=home, stdout=subprocess.DEVNULL)
    wait_for_lines(part, 20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    known = part.read_bytes().count(b"\n") - 1
    assert 0 < known < NUM_FILES
    done = json.loads(predict(home, arguments).stdout)
    assert (done["num_images"], done["num_errors"], done["num_already_done"]) == (NUM_FILES, 1, known)
    assert not part.exists()
    table = pandas.read_parquet(out)
    assert table["source"].tolist() == [os.path.join("shots", f"{place:04d}.png") for place in range(NUM_FILES)]
    whole = nw.predict(home / "bundle", [str(home / "shots")], top=None)["predictions"]
    read = table["label"].notna()
    assert read.tolist() == ["label" in answer for answer in whole]
    assert table["label"][read].tolist() == [answer["label"] for answer in whole if "label" in answer]
    expected = [answer["probability"] for answer in whole if "label" in answer]
    atol = 1e-3 if torch.cuda.is_available() else 1e-6  # for another number of images cuDNN takes other kernels
    np.testing.assert_allclose(table["probability"][read], expected, atol=atol)
    assert "not an image" in table["error"][7]


def test_ctrl_c_keeps_what_there_is(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    process = subprocess.Popen(
        command(home, f"shots --out {out} --batch-size 1"), cwd=home, stderr=subprocess.PIPE, text=True
    )
    wait_for_lines(Path(f"{out}.part"), 5)
    process.send_signal(signal.SIGINT)
    assert "the same command goes on" in (process.communicate(timeout=60)[1])
    assert process.returncode == 5
    predict(home, f"shots --out {out}")


def test_standard_input_and_what_is_there_already(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    out = tmp_path / "answers.jsonl"
    names = [f"shots/{place:04d}.png" for place in range(3)]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\0".join(names).encode())))
    assert run(["predict", "bundle", "-", "--out", str(out), "--top", "2"]) == 0
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert [answer["source"] for answer in answers] == names
    assert all(len(answer["probabilities"]) == 2 for answer in answers)
    assert run(["predict", "bundle", "shots", "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(["predict", "bundle", names[1], "--out", str(out), "--overwrite"]) == 0
    assert len(out.read_text().splitlines()) == 1


def test_only_unreadable_images_are_bad_input(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    assert run(["predict", "bundle", "shots/0007.png", "--out", str(tmp_path / "answers.csv")]) == 2
    assert "1 of 1 images could not be read" in capsys.readouterr().err
    assert "not an image" in (tmp_path / "answers.csv").read_text()
