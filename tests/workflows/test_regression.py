"""Regression from images: a table of paths and numbers, from training to prediction."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import mean_absolute_error, r2_score

import netwright as nw
from netwright.cli.main import run
from netwright.errors import DataError, RecipeError
from netwright.runs.outputs import load_outputs


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 images with a bright square, and its area with a comma between thousands."""
    folder = tmp_path_factory.mktemp("squares")
    random = np.random.default_rng(0)
    rows = []
    for number in range(80):
        side = int(random.integers(3, 15))
        pixels = random.integers(0, 40, (16, 16)).astype(np.uint8)
        pixels[:side, :side] = 200
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append((f"{number}.png", f"{25.5 * side * side:,.1f}"))
    with (folder / "areas.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "area"), *rows])
    return folder / "areas.csv"


@pytest.fixture(scope="module")
def trained(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("runs") / "areas"
    return nw.train(
        squares, task="regression", model="linear", lr=0.01, epochs=30, batch_size=8, out=out, quiet=True, test=True
    )


def test_it_learns_and_says_so_in_the_targets_unit(trained: Any) -> None:
    val = trained.metrics["val"]
    assert val["r2"] > 0.8
    assert val["mae"] < 0.5 * val["baselines"]["mean"]["mae"]
    last = trained.history[-1]
    assert {"train_mae", "train_rmse", "val_mae", "val_rmse", "val_loss"} <= set(last)
    kept = load_outputs(trained.folder.outputs_of("val"))
    assert val["mae"] == pytest.approx(mean_absolute_error(kept.targets, kept.predictions), rel=1e-5)
    assert val["r2"] == pytest.approx(r2_score(kept.targets, kept.predictions), rel=1e-4)


def test_two_runs_are_compared_sample_by_sample(
    trained: Any, squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = nw.train(
        squares, task="regression", model="linear", lr=0.001, epochs=1, batch_size=8, out=tmp_path / "worse", quiet=True
    )
    found = nw.compare(worse.path, trained.path)["comparison"]
    assert found["mae_of"] == pytest.approx([each.metrics["val"]["mae"] for each in (worse, trained)], rel=1e-5)
    assert found["rmse_of"] == pytest.approx([each.metrics["val"]["rmse"] for each in (worse, trained)], rel=1e-5)
    assert found["distinguishable"]
    assert run(["runs", "compare", str(worse.path), str(trained.path)]) == 0
    assert f"{trained.path.name} is better" in capsys.readouterr().out


def test_a_second_look_at_test_is_told_of_in_the_report(trained: Any, squares: Path, tmp_path: Path) -> None:
    trained.evaluate("test")
    split = {"manifest": str(trained.folder.split)}
    other = nw.train(
        squares, task="regression", model="linear", epochs=1, split=split, out=tmp_path / "b", quiet=True, test=True
    )
    page = other.report().read_text()
    assert "with 2 networks: the best of so many is too good by chance alone" in page
    assert f'<td class="n">{trained.metrics["test"]["r2"]:.3f}</td>' in page


def test_the_bundle_predicts_what_was_judged(trained: Any, squares: Path) -> None:
    names = json.loads(trained.folder.split.read_text())["splits"]["test"]
    with squares.open(newline="") as file:
        area = {name: float(text.replace(",", "")) for name, text in list(csv.reader(file))[1:]}
    said = trained.predict([squares.parent / name for name in names])
    values = [each["value"] for each in said]
    found = trained.metrics["test"]
    assert found["mae"] == pytest.approx(mean_absolute_error([area[name] for name in names], values), rel=1e-4)


def test_it_judges_other_numbers_and_draws_and_reports(trained: Any, squares: Path) -> None:
    few = squares.with_name("few.csv")
    few.write_text("".join(squares.read_text().splitlines(keepends=True)[:31]))
    other = trained.evaluate(data=few)
    assert other["metrics"]["num_samples"] == 30
    assert other["metrics"]["r2"] > 0.5
    assert (trained.folder.plots / "predicted-test.png").exists()
    page = trained.report().read_text(encoding="utf-8")
    assert "mean absolute error" in page
    assert "The largest errors" in page
    assert "Can the probabilities be trusted" not in page


def test_resuming_gives_the_same_bits(squares: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"task": "regression", "model": "linear", "batch_size": 8, "quiet": True}
    whole = nw.train(squares, epochs=4, out=tmp_path / "whole", **settings)
    parts = nw.train(squares, epochs=2, out=tmp_path / "parts", **settings)
    parts = nw.resume(parts, epochs=4, quiet=True)
    assert whole.folder.weights.read_bytes() == parts.folder.weights.read_bytes()
    numbers = [
        [{k: v for k, v in each.items() if "seconds" not in k} for each in run.history] for run in (whole, parts)
    ]
    assert numbers[0] == numbers[1]


def test_the_command_line_says_numbers(
    trained: Any, squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(squares.parent / "0.png")

    def said(*arguments: str) -> str:
        assert run(arguments) == 0
        return capsys.readouterr().out

    (prediction,) = json.loads(said("predict", str(trained.path), image, "--json"))["predictions"]
    assert set(prediction) == {"source", "value"}
    assert said("predict", str(trained.path), image, "--format", "csv").splitlines()[0] == "source,value,error"
    assert "mean absolute error" in said("evaluate", str(trained.path))
    assert "R²" in said("runs", "show", str(trained.path))
    exported = said("export", str(trained.path), "--out", str(tmp_path / "model.onnx"))
    assert "numbers within" in exported and "class" not in exported and "logits" not in exported
    table = squares.with_name("alike.csv")
    lines = squares.read_text().splitlines()
    (squares.parent / "twin.png").write_bytes((squares.parent / "0.png").read_bytes())
    table.write_text("\n".join([*lines, "twin.png,5", "1.png,"]) + "\n")
    shown = said("train", str(table), "--task", "regression", "--epochs", "1", "--out", str(tmp_path / "alike"))
    assert "numbers from 'area'" in shown and "rows without 'area', left out (1)" in shown
    assert "1 equal images with different numbers" in shown
    for word in ("label", "accuracy", "classes"):
        assert word not in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,area\n0.png,3\n1.png,many\n", "no numbers: 'many' (line 3)"),
        *(
            (
                f"image,area\n0.png,3\n1.png,{cell}\n",
                f"no numbers: '{cell}' (line 3); correct them (finite, at most 3.0e+38)",
            )
            for cell in ("nan", "inf", "-inf", "1e300")
        ),
        ("image,area\n0.png,3\n1.png,3\n2.png,3\n", "one number only, 3"),
    ],
)
def test_what_is_no_number_is_named(text: str, message: str, squares: Path) -> None:
    table = squares.parent / "bad.csv"
    table.write_text(text)
    with pytest.raises(DataError) as refused:
        nw.train(table, task="regression", quiet=True, split={"val": 0.3, "test": 0.0}, out=squares.parent / "no")
    assert message in str(refused.value)


def test_what_is_for_classes_is_refused(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="for one class an image"):
        nw.train(squares, task="regression", sampling="balanced", out=tmp_path / "no", quiet=True)
    with pytest.raises(RecipeError, match="data are for classification"):
        nw.train("digits", task="regression", out=tmp_path / "no", quiet=True)


def test_measured_numbers_are_told_from_classes(squares: Path) -> None:
    from netwright.config.sections import Data
    from netwright.data.sources import open_data

    assert open_data(Data(source=str(squares))).task == "classification"  # 12 areas: could be classes
    lines = ["image,area", *(f"{number}.png,{number + 0.25}" for number in range(80))]
    table = squares.parent / "measured.csv"
    table.write_text("\n".join(lines))
    assert open_data(Data(source=str(table))).task == "regression"
