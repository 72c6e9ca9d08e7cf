"""The bundle: enough to predict, the same bytes for the same training, noticed when damaged, no pickle, no training."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.cli.main import run as netwright
from netwright.deployment.bundle import load_bundle
from netwright.errors import WeightsError
from netwright.files.sealed import read_sealed, write_sealed

FILES = ["bundle.json", "card.md", "golden.safetensors", "model.safetensors"]
SOURCE = str(Path(nw.__file__).parents[1])


def test_equal_trainings_give_equal_bytes(trained: nw.Run, tmp_path: Path) -> None:
    again = nw.train(
        "digits",
        out=tmp_path / "elsewhere",
        model="mlp",
        epochs=2,
        lr=0.003,
        quiet=True,
        runtime={"threads": 1, "device": "cpu", "precision": "fp32"},
    )
    for name in FILES:
        assert (again.path / "bundle" / name).read_bytes() == (trained.path / "bundle" / name).read_bytes()


def test_another_seed_gives_other_weights(trained: nw.Run, tmp_path: Path) -> None:
    other = nw.train("digits", out=tmp_path / "other", model="mlp", epochs=2, lr=0.003, seed=1, threads=1, quiet=True)
    weights = [run.path / "bundle" / "model.safetensors" for run in (trained, other)]
    assert weights[0].read_bytes() != weights[1].read_bytes()


def test_a_bundle_is_four_files_and_no_pickle(trained: nw.Run) -> None:
    files = sorted((trained.path / "bundle").iterdir())
    assert [path.name for path in files] == FILES
    described = json.loads(files[0].read_text())
    assert described["class_names"] == [str(digit) for digit in range(10)]
    assert described["model"]["name"] == "mlp"
    assert described["epoch"] == trained.best_epoch
    for path in trained.path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not content.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")), path


def test_the_card_says_what_it_is(trained: nw.Run) -> None:
    card = (trained.path / "bundle" / "card.md").read_text()
    val = trained.metrics["val"]
    words_of_it = ["# mlp for digits", "8 × 8 pixels", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9", "predict BUNDLE", "torch "]
    for words in (*words_of_it, f"accuracy {val['accuracy']:.4f}", f"n = {val['num_samples']}"):
        assert words in card


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGES: list[tuple[str, Callable[[Path], object]]] = [
    ("model.safetensors", flip_bit),
    ("model.safetensors", truncate),
    ("model.safetensors", Path.unlink),
    ("bundle.json", truncate),
    ("bundle.json", Path.unlink),
    ("bundle.json", lambda path: path.write_text("[]")),
    ("bundle.json", lambda path: path.write_text("{}")),
    ("bundle.json", lambda path: path.write_bytes(b"\xff\xfe\x00")),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_damage_is_bad_input(
    name: str,
    damage: Callable[[Path], object],
    copied: Path,
    digits: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.fromarray(digits[0]).save(tmp_path / "digit.png")
    damage(copied / "bundle" / name)
    assert netwright(["predict", str(copied), str(tmp_path / "digit.png")]) == 2
    shown = capsys.readouterr()
    assert str(copied / "bundle") in shown.err
    assert "Traceback" not in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""
    with pytest.raises(WeightsError):
        load_bundle(copied / "bundle")


@pytest.mark.parametrize("field", ["model", "class_names", "transform", "image_size", "weights_sha256", "output"])
def test_a_missing_field_is_bad_input(field: str, copied: Path) -> None:
    path = copied / "bundle" / "bundle.json"
    described = read_sealed(path)
    del described[field]
    write_sealed(path, described)
    with pytest.raises(WeightsError, match=str(copied / "bundle")):
        load_bundle(copied / "bundle")


@pytest.mark.parametrize(
    ("field", "value"),
    [("model", {"name": "cnn", "kernel_sise": 3}), ("image_size", [8]), ("transform", {"channels": "one"})],
)
def test_a_wrong_field_is_bad_input(field: str, value: object, copied: Path) -> None:
    path = copied / "bundle" / "bundle.json"
    write_sealed(path, read_sealed(path) | {field: value})
    with pytest.raises(nw.InputError):
        load_bundle(copied / "bundle")


def test_a_newer_format_is_refused(copied: Path) -> None:
    path = copied / "bundle" / "bundle.json"
    write_sealed(path, read_sealed(path) | {"format": 2})
    with pytest.raises(WeightsError, match=r"has format 2 \(netwright .*reads 1; it was written by a newer version"):
        load_bundle(copied / "bundle")


def test_weights_of_another_network_are_refused(copied: Path, digits: np.ndarray) -> None:
    path = copied / "bundle" / "bundle.json"
    described = read_sealed(path)
    described["model"]["hidden_sizes"] = [7]
    write_sealed(path, described)
    with pytest.raises(WeightsError, match="do not fit the network"):
        nw.load(copied).predict(digits[:1])


def test_a_run_can_be_moved(trained: nw.Run, copied: Path, digits: np.ndarray, tmp_path: Path) -> None:
    moved = Path(shutil.move(copied, tmp_path / "somewhere else"))
    run = nw.load(moved)
    assert run.predict(digits) == trained.predict(digits)
    assert run.evaluate("val")["metrics"] == trained.evaluate("val")["metrics"]
    assert len(nw.resume(moved, epochs=3, quiet=True).history) == 3


def test_a_lone_bundle_predicts(trained: nw.Run, digits: np.ndarray, tmp_path: Path) -> None:
    lone = shutil.copytree(trained.path / "bundle", tmp_path / "lone")
    Image.fromarray(digits[0]).save(tmp_path / "digit.png")
    (answer,) = nw.predict(lone, [str(tmp_path / "digit.png")])["predictions"]
    assert answer["label"] == trained.predict(digits[:1])[0]["label"]


PROGRAM = """
import json, sys
from pathlib import Path
from netwright.workflows.predict import predict_files
answer = predict_files(Path(sys.argv[1]), [sys.argv[2]])
print(json.dumps([answer["predictions"][0]["label"], sorted(sys.modules)]))
"""


def test_predicting_loads_no_training(trained: nw.Run, digits: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(digits[0]).save(tmp_path / "digit.png")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, trained.path / "bundle", tmp_path / "digit.png"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": SOURCE},
    )
    assert done.returncode == 0, done.stderr
    label, modules = json.loads(done.stdout)
    assert label == trained.predict(digits[:1])[0]["label"]
    assert "netwright.deployment.predictor" in modules
    assert not [name for name in modules if name.startswith(("netwright.training", "netwright.cli", "tensorboardX"))]
