"""Several seeds of one recipe: each its own run, the split the same, one look at test, and it goes on where it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t

import netwright as nw
from netwright.evaluation.spread import spread
from netwright.files.sealed import write_sealed

SETTINGS: dict[str, Any] = {"model": "linear", "epochs": 1, "lr": 0.003, "threads": 1, "quiet": True}


def weights(folder: str) -> bytes:
    return (Path(folder) / "bundle" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return nw.train_series("digits", seeds=3, seed=5, out=tmp_path_factory.mktemp("series") / "s", **SETTINGS)


def test_each_seed_is_a_run_on_the_same_split(series: dict[str, Any], tmp_path: Path) -> None:
    assert [run["seed"] for run in series["runs"]] == [5, 6, 7]
    assert [Path(run["run"]).name for run in series["runs"]] == ["seed-5", "seed-6", "seed-7"]
    assert len({weights(run["run"]) for run in series["runs"]}) == 3
    assert len({(Path(run["run"]) / "split.json").read_bytes() for run in series["runs"]}) == 1
    alone = nw.train("digits", seed=6, out=tmp_path / "alone", **SETTINGS)
    assert weights(str(alone.path)) == weights(series["runs"][1]["run"])
    with pytest.raises(nw.InputError, match=r"is a series of runs; name one of them, such as .*seed-5"):
        nw.load(series["series"])


def test_mean_and_spread_are_those_of_the_runs(series: dict[str, Any]) -> None:
    accuracies = [run["metrics"]["val"]["accuracy"] for run in series["runs"]]
    found = series["summary"]["val"]["accuracy"]
    assert found["mean"] == pytest.approx(np.mean(accuracies))
    assert found["standard_deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    wanted = t.interval(0.95, 2, np.mean(accuracies), np.std(accuracies, ddof=1) / 3**0.5)
    assert found["interval"] == pytest.approx(wanted)
    assert "test" not in series["summary"]
    assert spread([0.5])["interval"] is None


def test_it_goes_on_with_what_is_missing_and_looks_at_test_once(series: dict[str, Any], tmp_path: Path) -> None:
    out = Path(shutil.copytree(series["series"], tmp_path / "copied"))
    shutil.rmtree(out / "seed-6")
    write_sealed(out / "seed-7" / "state.json", {"state": "running", "reason": ""})  # killed
    kept = (out / "seed-5" / "metrics.json").stat().st_mtime_ns
    again = nw.train_series("digits", seeds=4, seed=5, out=out, **SETTINGS)
    assert (out / "seed-5" / "metrics.json").stat().st_mtime_ns == kept
    for run, before in zip(again["runs"], series["runs"], strict=False):
        assert weights(run["run"]) == weights(before["run"])
    tested = nw.train_series("digits", seeds=4, seed=5, out=out, test=True, **SETTINGS)
    assert tested["summary"]["test"]["accuracy"]["num_runs"] == 4
    for place in (0, 3):
        metrics = json.loads((out / f"seed-{5 + place}" / "metrics.json").read_text())
        assert (metrics["test"]["looks"]["number"], metrics["test"]["looks"]["networks"]) == (1, 1)
    assert nw.load(out / "seed-5").evaluate("test")["looks"] == 2


def test_another_recipe_is_refused(series: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(nw.InputError, match="is a series of another recipe"):
        nw.train_series("digits", seeds=3, seed=5, out=series["series"], **SETTINGS | {"lr": 0.1})
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(nw.InputError, match="exists already"):
        nw.train_series("digits", seeds=2, out=tmp_path, **SETTINGS)
    with pytest.raises(nw.RecipeError, match="at least 2"):
        nw.train_series("digits", seeds=1, out=tmp_path / "one", **SETTINGS)


def test_splits_vary_when_asked_and_test_must_be_there(tmp_path: Path) -> None:
    varied = nw.train_series("digits", seeds=2, vary_split=True, out=tmp_path / "v", **SETTINGS)
    assert len({(Path(run["run"]) / "split.json").read_bytes() for run in varied["runs"]}) == 2
    with pytest.raises(nw.InputError, match="no test split"):
        nw.train_series("digits", seeds=2, split={"test": 0.0}, test=True, out=tmp_path / "t", **SETTINGS)
