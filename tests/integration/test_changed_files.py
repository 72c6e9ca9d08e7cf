"""Files that changed since a run began: named, and neither trained on nor judged on."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Shell = Callable[..., Any]
QUICK = ["--model", "linear", "--epochs", 1, "--threads", 1, "--quiet"]


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)).save(path)


@pytest.fixture
def trained(shell: Shell, tmp_path: Path) -> Path:
    """A folder of pictures, one of them bad and left out, with a run on it."""
    for number in range(16):
        write(tmp_path / "pictures" / ("cat" if number % 2 else "dog") / f"{number}.png", number)
    (tmp_path / "pictures" / "cat" / "bad.png").write_bytes(b"nothing")
    said = shell("train", "pictures", *QUICK, "--on-bad-image", "skip", "--out", "run")
    assert said.code == 0, said.err
    return tmp_path / "pictures"


def change(pictures: Path, how: str) -> str:
    if how == "gone":
        (pictures / "cat" / "3.png").unlink()
        return "  1 gone: cat/3.png"
    if how == "a class gone":
        shutil.rmtree(pictures / "cat")
        return "  8 gone: cat/"
    if how == "changed":
        write(pictures / "dog" / "4.png", 99)
        write(pictures / "cat" / "5.png", 98)
        return "  2 changed: cat/5.png, dog/4.png"
    if how == "the bad one repaired":
        write(pictures / "cat" / "bad.png", 97)
        return "  1 changed: cat/bad.png"
    write(pictures / "dog" / "new.png", 96)
    return "  1 new: dog/new.png"


@pytest.mark.parametrize("how", ["gone", "a class gone", "changed", "the bad one repaired", "new"])
def test_changes_are_named_and_refused(how: str, trained: Path, shell: Shell, tmp_path: Path) -> None:
    before = (tmp_path / "run" / "bundle" / "model.safetensors").read_bytes()
    named = change(trained, how)
    for words in (["resume", "run", "--epochs", 2], ["evaluate", "run"]):
        said = shell(*words)
        assert said.code == 2, said.err
        assert "Traceback" not in said.err
        assert "have changed since the run began" in said.err
        assert named in said.err
    assert (tmp_path / "run" / "bundle" / "model.safetensors").read_bytes() == before


def test_unchanged_files_are_trained_on(trained: Path, shell: Shell, tmp_path: Path) -> None:
    """Touched, copied and moved with their folder, they are the same."""
    (trained / "cat" / "3.png").touch()
    content = (trained / "cat" / "5.png").read_bytes()
    (trained / "cat" / "5.png").unlink()
    (trained / "cat" / "5.png").write_bytes(content)
    said = shell("resume", "run", "--epochs", 2, "--quiet")
    assert said.code == 0, said.err


def test_labels_of_a_table_that_changed(shell: Shell, tmp_path: Path) -> None:
    lines = ["path,label"]
    for number in range(12):
        write(tmp_path / "pictures" / f"{number}.png", number)
        lines.append(f"pictures/{number}.png,{'ab'[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    assert shell("train", "labels.csv", *QUICK, "--out", "run").code == 0
    (tmp_path / "labels.csv").write_text("\n".join([*lines[:-1], "pictures/11.png,a"]))
    said = shell("resume", "run", "--epochs", 2)
    assert said.code == 2
    assert "labels" in said.err
    (tmp_path / "labels.csv").write_text("\n".join(lines[:-1]))
    said = shell("evaluate", "run")
    assert said.code == 2
    assert "  1 gone: pictures/11.png" in said.err
