"""Sources of the user's own under a name: a recipe names them, a run opens them again."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import netwright as nw
from netwright.data import registered
from netwright.data.registered import register_source
from netwright.errors import DataError


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "_SOURCES", {})


def test_a_recipe_names_a_source_and_the_run_opens_it_again(tmp_path: Path) -> None:
    @register_source("stripes")
    def stripes() -> tuple[Any, Any]:
        random = np.random.default_rng(0)
        targets = np.arange(80) % 2
        images = random.integers(0, 60, (80, 8, 8))
        images[targets == 1, :, ::2] += 150
        return images.astype(np.uint8), targets

    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "data: {source: stripes}\nmodel: linear\ntraining: {epochs: 5}\noptimizer: {name: adam, lr: 0.01}\n"
    )
    run = nw.train(recipe, out=tmp_path / "run", quiet=True)
    assert run.metrics["val"]["accuracy"] == 1.0
    assert nw.load(tmp_path / "run").evaluate("test")["metrics"]["num_samples"] == 12


def test_a_source_may_be_a_table(tmp_path: Path) -> None:
    register_source("shop")(lambda: pd.DataFrame({"a": np.arange(60) % 7, "b": [0.5, 1.5] * 30, "won": [0, 1] * 30}))
    settings: dict[str, Any] = {"epochs": 1, "allow_leaks": True, "quiet": True}
    run = nw.train("shop", target="won", out=tmp_path / "run", **settings)
    assert run.recipe.data.source == "shop"


def test_a_name_of_ours_is_taken() -> None:
    with pytest.raises(DataError, match="taken"):
        register_source("digits")(lambda: None)
