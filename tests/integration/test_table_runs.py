"""A table of paths and labels from training to evaluation on another table."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Shell = Callable[..., Any]


def write(folder: Path, seed: int, head: str) -> Path:
    """Write 40 pictures, dark or bright, and a table beside them."""
    draws = np.random.default_rng(seed)
    lines = [head]
    for number in range(40):
        bright = number % 2
        path = folder / "shots" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = draws.integers(0, 100, (8, 8), dtype=np.uint8) + np.uint8(150 * bright)
        Image.fromarray(pixels).save(path)
        lines.append(f"shots/{number}.png,{['dark', 'bright'][bright]},{number // 2}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder / "labels.csv"


@pytest.mark.parametrize("root", [False, True])
def test_train_and_evaluate_on_another_table(root: bool, shell: Shell, tmp_path: Path) -> None:
    """The run's root and columns are its own table's: another one's paths begin at its own folder."""
    mine = write(tmp_path / "mine", 0, "photo,what,scene")
    if root:
        mine = mine.rename(tmp_path / "labels.csv")
    words = ["--model", "linear", "--lr", 0.03, "--epochs", 20, "--threads", 1, "--quiet", "--group-by", "scene"]
    words += ["--set", "data.label_column=what", *(["--data-root", "mine"] if root else [])]
    said = shell("train", mine, *words, "--out", "run")
    assert said.code == 0, said.err
    splits = json.loads((tmp_path / "run" / "split.json").read_text())["splits"]
    scenes = [{int(Path(name).stem) // 2 for name in names} for names in splits.values()]
    assert sum(map(len, scenes)) == len(set.union(*scenes)) == 20
    assert shell("evaluate", "run", "--split", "test").code == 0
    other = write(tmp_path / "other", 1, "photo,what,scene")
    said = shell("evaluate", "run", "--data", other, "--json")
    assert said.code == 0, said.err
    metrics = json.loads(said.out)["metrics"]
    assert (metrics["num_samples"], metrics["accuracy"]) == (40, 1.0)
