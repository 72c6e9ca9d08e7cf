"""A damaged run: what is known twice is put right and said, the rest is named; nothing trains on a damaged file."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.runs.folder import RunFolder

Shell = Callable[..., Any]
TRAINING = {"epochs": 2, "batch_size": 300}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, no_plots: None) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    return nw.train("digits", out=out, model="linear", quiet=True, threads=1, training=TRAINING).path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(whole, tmp_path / "run")))


def flip(path: Path, place: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


DAMAGES = pytest.mark.parametrize("damage", [flip, cut], ids=lambda damage: damage.__name__)


@DAMAGES
@pytest.mark.parametrize("name", ["data.json", "split.json"])
def test_what_is_not_known_twice_is_named(
    name: str, damage: Callable[[Path], None], run: RunFolder, shell: Shell
) -> None:
    damage(run.path / name)
    for verb in ("resume", "evaluate"):
        said = shell(verb, "run")
        assert said.code == 2
        assert f"run/{name} is damaged" in said.err
    assert shell("runs", "--folder", ".").code == 0


@DAMAGES
@pytest.mark.parametrize("name", ["environment.json", "state.json", "metrics.json"])
def test_what_is_made_again_is_set_aside(
    name: str, damage: Callable[[Path], None], run: RunFolder, shell: Shell
) -> None:
    weights = run.weights.read_bytes()
    damage(run.path / name)
    said = shell("resume", "run", "--quiet")
    assert said.code == 0, said.err
    assert f"run/{name} is damaged" in said.err
    assert f"kept as {name}.damaged and made again" in said.err
    assert shell("resume", "run", "--quiet").err == ""
    assert run.weights.read_bytes() == weights


@DAMAGES
def test_a_damaged_history_is_named_and_written_again(
    damage: Callable[[Path], None], run: RunFolder, shell: Shell
) -> None:
    before = run.history.read_bytes()
    damage(run.history)
    said = shell("runs", "show", "run")
    assert said.code == 2
    assert "run/history.jsonl is damaged" in said.err
    assert shell("resume", "run", "--quiet").code == 0
    assert run.history.read_bytes() == before


def test_an_edited_recipe_is_refused_with_what_differs(run: RunFolder, shell: Shell) -> None:
    text = run.recipe.read_text()
    run.recipe.write_text(text.replace("lr: 0.003", "lr: 0.03"))
    for verb in ("evaluate", "predict"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save("digit.png")
        assert shell(verb, "run", *(["digit.png"] if verb == "predict" else [])).code == 2
    said = shell("resume", "run")
    assert said.code == 2
    assert "`optimizer.lr` is 0.03 and was 0.003" in said.err
    assert "netwright train run/recipe.yaml" in said.err
    assert shell("train", "run/recipe.yaml", "--out", "other", "--quiet").code == 0
    assert nw.load("other").recipe.optimizer.lr == 0.03
    run.recipe.write_text(text)
    assert shell("resume", "run").code == 0


@pytest.mark.parametrize("content", ["", "model: {name: [}", "training: {epochs: 0}"])
def test_an_unreadable_recipe_is_written_again_from_the_checkpoint(content: str, run: RunFolder, shell: Shell) -> None:
    before, weights = run.recipe.read_bytes(), run.weights.read_bytes()
    run.recipe.write_text(content)
    said = shell("resume", "run", "--quiet")
    if content:
        assert said.code == 0, said.err
        assert "run/recipe.yaml is damaged" in said.err
        assert run.recipe.read_bytes() == before
        assert run.weights.read_bytes() == weights
    else:  # an empty file is a recipe of defaults
        assert said.code == 2
        assert "is damaged or was edited: `data.task` is 'auto'" in said.err


def test_an_unreadable_recipe_without_a_checkpoint_is_refused(run: RunFolder, shell: Shell) -> None:
    shutil.rmtree(run.checkpoints)
    flip(run.recipe, 0.9)
    assert "run/recipe.yaml" in shell("resume", "run").err


def test_damaged_weights_predict_nothing(run: RunFolder, shell: Shell) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("digit.png")
    for path in (run.weights, run.bundle / "bundle.json"):
        whole = path.read_bytes()
        flip(path)
        said = shell("predict", "run", "digit.png")
        assert said.code == 2
        assert path.name in said.err
        path.write_bytes(whole)
    assert shell("predict", "run", "digit.png").code == 0
