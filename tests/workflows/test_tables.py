"""Rows of a table: from training to prediction, and every file that can't be used."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import nn

import netwright as nw
from netwright.cli.main import run as command_line
from netwright.config.sections import Data, Split
from netwright.data.row_tables import open_rows
from netwright.data.splits import split_rows
from netwright.errors import DataError, InputError, RecipeError
from netwright.evaluation.diagnosis import diagnose
from netwright.runs.folder import read_json
from netwright.workflows.judging_rows import for_rows

QUICK: dict[str, Any] = {"quiet": True, "threads": 1}


def customers(count: int, seed: int = 0) -> pd.DataFrame:
    """Rows with numbers (some missing, some with commas), a category, a boolean, a date and a name."""
    random = np.random.default_rng(seed)
    income = random.gamma(3, 9000, count)
    plan = random.choice(["basic", "plus", "pro"], count)
    age = random.integers(18, 80, count).astype(float)
    score = (income > 25_000) + (plan == "pro") + (age > 50)
    frame = pd.DataFrame(
        {
            "name": [f"customer {number}" for number in range(count)],
            "income": [f"{value:,.0f}" for value in income],
            "age": age,
            "plan": plan,
            "member": random.choice(["yes", "no"], count),
            "since": pd.date_range("2020-01-01", periods=count).strftime("%Y-%m-%d"),
            "left": np.where(score + random.normal(0, 0.3, count) > 1.5, "yes", "no"),
        }
    )
    frame.loc[::9, "age"] = np.nan
    return frame


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "customers.csv"
    customers(400).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("runs") / "customers"
    return nw.train(table, target="left", columns={"since": "ignore"}, epochs=25, lr=0.01, out=out, test=True, **QUICK)


def test_it_learns_and_has_the_other_models_beside(trained: Any) -> None:
    val = trained.metrics["val"]
    assert val["accuracy"] > 0.8
    assert set(val["baselines"]) == {"majority", "nearest_neighbours", "linear", "boosting"}
    assert 0 < val["roc_auc"] <= 1
    assert trained.recipe.model.name == "tabular_mlp"
    data = read_json(trained.folder.data)
    assert any("numbers: income, age" in notice for notice in data["notices"])
    assert any("name (400 different words" in notice for notice in data["notices"])


def test_what_is_kept_is_of_train_alone(trained: Any, table: Path) -> None:
    kept = read_json(trained.folder.bundle / "bundle.json")["transform"]["table"]["columns"]
    rows = read_json(trained.folder.split)["splits"]["train"]
    ages = pd.read_csv(table)["age"].iloc[rows]
    (age,) = [column for column in kept if column["name"] == "age"]
    assert age["missing"]
    assert age["middle"] == [pytest.approx(ages.median())]
    assert age["mean"] == [pytest.approx(ages.fillna(ages.median()).mean())]


def test_what_is_said_is_of_rows(table: Path, tmp_path: Path) -> None:
    """Rows that are there twice, some of them under another answer, in the log and in the report."""
    frame = pd.read_csv(table)
    again = frame.iloc[:40].copy()
    again.loc[:3, "left"] = np.where(again["left"][:4] == "yes", "no", "yes")
    pd.concat([frame, again]).to_csv(tmp_path / "twice.csv", index=False)
    run = nw.train(tmp_path / "twice.csv", target="left", epochs=2, out=tmp_path / "run", **QUICK)
    log = (run.path / "log.txt").read_text()
    assert "rows in 40 sets of twins" in log
    assert "4 equal rows under two labels" in log
    assert "begins as the best linear model of train" in log
    assert "image" not in log
    assert command_line(["report", str(run.path)]) == 0
    page = re.sub(r"<(style|script|svg)\b.*?</\1>", "", run.folder.report.read_text(), flags=re.DOTALL)
    recipe = re.compile(r"on_bad_image|image_size|mask\w*image\w*")
    words = recipe.sub("", re.sub(r"<[^>]*>", " ", page))
    assert [found[0] for found in re.finditer(r".{0,40}\bimages?\b.{0,20}", words)] == []


def test_new_rows_may_have_words_that_train_had_not(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = customers(5, seed=1).drop(columns="left")
    new.loc[0, "plan"] = "platinum"
    new.loc[1, "income"] = ""
    path = tmp_path / "new.csv"
    new.to_csv(path, index=False)
    assert command_line(["predict", str(trained.path), str(path), "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    assert [each["source"].rpartition(", ")[2] for each in predictions] == [f"line {line}" for line in range(2, 7)]
    of_frame = trained.predict(new)
    assert [each["probability"] for each in of_frame] == [each["probability"] for each in predictions]
    out = tmp_path / "answers.csv"
    assert command_line(["predict", str(trained.path), str(path), "--out", str(out)]) == 0
    assert len(out.read_text().splitlines()) == 6


def test_a_table_without_a_column_of_the_network_is_refused(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "few.csv"
    customers(5).drop(columns="age").to_csv(path, index=False)
    assert command_line(["predict", str(trained.path), str(path)]) == 2
    assert "does not have the columns age" in capsys.readouterr().err


@pytest.mark.parametrize("verdict", ["overfitting", "underfitting"])
def test_rows_are_not_told_of_images_and_augmentation(verdict: str) -> None:
    train, val = (0.99, 0.80) if verdict == "overfitting" else (0.60, 0.61)
    of_all: dict[str, Any] = {"train_accuracy": train, "val_accuracy": val, "train_loss": 0.6, "val_loss": 0.6, "lr": 1}
    history = [{"epoch": epoch, **of_all} for epoch in range(1, 31)]
    history[0] |= {"train_loss": 0.7, "val_loss": 0.5}
    found = for_rows(diagnose(history, num_val=2000, best_epoch=1, majority=0.5))
    assert found["verdict"] == verdict
    assert "augmentation" not in found["advice"] and "image" not in found["advice"], found["advice"]


def test_predictions_of_rows_are_counted_as_rows(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    customers(7).to_csv(tmp_path / "new.csv", index=False)
    assert (
        command_line(["predict", str(trained.path), str(tmp_path / "new.csv"), "--out", str(tmp_path / "o.csv")]) == 0
    )
    assert capsys.readouterr().out.startswith("7 rows in ")


def test_inspecting_rows_leads_to_the_report(trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["inspect", str(trained.path)]) == 0
    assert capsys.readouterr().out.endswith(f"next: netwright report {trained.path}   # which columns it goes by\n")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    assert command_line(["inspect", str(trained.path), str(tmp_path / "rows.csv")]) == 2
    assert "takes the rows of a table, which are no pictures" in capsys.readouterr().err


def test_other_rows_are_judged_and_the_report_shows_the_columns(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "later.csv"
    customers(120, seed=2).to_csv(path, index=False)
    found = trained.evaluate(data=path)["metrics"]
    assert found["num_samples"] == 120
    assert found["accuracy"] > 0.75
    page = trained.report().read_text(encoding="utf-8")
    assert "Which columns it goes by" in page
    assert "boosted trees, val" in page
    text = re.sub(r"<style>.*?</style>|<[^>]*>", "", page, flags=re.DOTALL)
    assert not re.findall(r".{60}\b[Ii]mages?\b", text)


def test_a_data_frame_gives_the_run_of_its_file(table: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"target": "left", "epochs": 2, **QUICK}
    first = nw.train(table, out=tmp_path / "file", **settings)
    second = nw.train(pd.read_csv(table), out=tmp_path / "frame", **settings)
    assert first.folder.weights.read_bytes() == second.folder.weights.read_bytes()


def test_one_output_and_binary_cross_entropy(table: Path, tmp_path: Path) -> None:
    run = nw.train(table, target="left", criterion="bce_with_logits", epochs=10, lr=0.01, out=tmp_path / "b", **QUICK)
    assert run.metrics["val"]["accuracy"] > 0.7


def test_a_number_is_learnt_and_linear_is_least_squares(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(300, 3)), columns=["a", "b", "c"])
    frame["price"] = 1000 + 50 * frame["a"] - 20 * frame["b"] + random.normal(0, 3, 300)
    run = nw.train(
        frame, target="price", model="linear", optimizer={"name": "sgd", "lr": 0.1}, weight_decay=0.0, batch_size=300,
        epochs=150, training={"monitor": "train_loss", "patience": None},
        split={"val": 0.2, "test": 0.0}, out=tmp_path / "r", **QUICK,
    )  # fmt: skip
    rows = read_json(run.folder.split)["splits"]
    features, prices = frame[["a", "b", "c"]].to_numpy(), frame["price"].to_numpy()
    exact = LinearRegression().fit(features[rows["train"]], prices[rows["train"]])
    said = [each["value"] for each in run.predict(frame.iloc[rows["val"]].reset_index(drop=True))]
    np.testing.assert_allclose(said, exact.predict(features[rows["val"]]), atol=0.5)
    assert run.metrics["val"]["baselines"]["linear"]["r2"] == pytest.approx(run.metrics["val"]["r2"], abs=0.01)


def test_a_network_of_the_users_own_gets_rows(table: Path, tmp_path: Path) -> None:
    shapes = []

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 2)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            shapes.append(tuple(rows.shape[1:]))
            return self.layer(rows.flatten(1))

    columns = {"since": "ignore", "name": "ignore", "plan": "ignore"}
    frame = pd.read_csv(table)
    for number in range(4):
        frame[f"n{number}"] = np.random.default_rng(number).normal(size=len(frame))
    run = nw.train(frame, target="left", columns=columns, model=Own(), epochs=1, out=tmp_path / "own", **QUICK)
    assert (8,) in shapes
    assert run.metrics["val"]["num_samples"] > 0


def test_data_says_what_the_columns_are(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["data", str(table), "--target", "left"]) == 0
    said = capsys.readouterr().out
    assert "to correct: --columns NAME=KIND" in said
    (age,) = [line.split() for line in said.splitlines() if line.startswith("age ")]
    assert age[:3] == ["age", "number", "45"]


def test_rows_are_split_by_time(table: Path, tmp_path: Path) -> None:
    run = nw.train(table, target="left", split_by_time="since", epochs=1, out=tmp_path / "t", **QUICK)
    rows = read_json(run.folder.split)["splits"]
    assert max(rows["train"]) < min(rows["val"]) <= max(rows["val"]) < min(rows["test"])
    warned = open_rows(table, Data(target="left"), Split())
    assert any("ordered in time by 'since'" in notice for notice in warned.notices)


def test_what_comes_next_is_the_target_of_a_later_row(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=6).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"date": days[::-1], "open": [1, 2, 3, 4, 5, 6], "close": [2, 1, 4, 3, 6, 5]})  # newest first
    same = open_rows(frame, Data(target="close > open"), Split())
    assert [same.class_names[target] for target in same.targets] == ["yes", "no"] * 3
    later = open_rows(frame, Data(target="close > open", ahead=1), Split(by_time="date"))
    assert later.sample_names == [f"row {row}" for row in range(1, 6)]  # the newest has no next day
    assert [later.class_names[target] for target in later.targets] == ["yes", "no", "yes", "no", "yes"]
    with pytest.raises(DataError, match="nothing says in which order"):
        open_rows(frame, Data(target="close > open", ahead=1), Split())


def test_between_splits_by_time_lie_the_rows_whose_targets_were_not_known_yet() -> None:
    days = pd.date_range("2020-01-01", periods=103).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"date": days, "price": np.arange(103) ** 1.5})
    for ahead in (1, 3):
        split = Split(by_time="date", val=0.2, test=0.2)
        rows = split_rows(open_rows(frame, Data(target="price", ahead=ahead), split), split)
        for earlier, later in (("train", "val"), ("val", "test")):
            assert rows[earlier].max() + ahead == rows[later].min()  # its target is the later split's first row


def test_a_row_further_ahead_than_there_are_rows_is_told_so() -> None:
    days = pd.date_range("2020-01-01", periods=30).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"date": days, "price": np.arange(30) ** 1.5})
    with pytest.raises(DataError, match="ahead` is 1,000 rows, and the DataFrame has 30"):
        open_rows(frame, Data(target="price", ahead=1000), Split(by_time="date"))


def test_words_in_a_column_that_is_compared_are_named() -> None:
    frame = pd.DataFrame({"open": ["1", "2", "", "4"], "close": ["2", "halted", "3", "1"], "high": [1, 2, 3, 4]})
    with pytest.raises(DataError, match=r"column 'close' has cells that are no numbers: 'halted' \(row 1\)"):
        open_rows(frame, Data(target="close > open"), Split())
    frame["close"] = ["2", "3", "3", "1"]
    assert len(open_rows(frame, Data(target="close > open"), Split())) == 3  # the empty one is left out


def test_where_there_is_nothing_to_see_the_bundle_says_always_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(240, 3)), columns=["a", "b", "c"])
    frame["up"] = np.where(random.random(240) < 0.7, "yes", "no")
    run = nw.train(frame, target="up", epochs=30, out=tmp_path / "noise", **QUICK)
    assert "no better than always the same answer" in run.result()["verdicts"][0]
    assert not run.result()["diagnosis"]["advice"]  # a larger network would not see what is not there
    rows = read_json(run.folder.split)["splits"]["train"]
    share = (frame["up"].iloc[rows] == "yes").mean()
    logits = run.network().cpu()(torch.randn(5, 3)).detach()
    np.testing.assert_allclose(logits.softmax(dim=1)[:, 1], np.full(5, share), atol=1e-5)
    assert {each["label"] for each in run.predict(frame)} == {"yes"}
    frame["up"] = np.where(frame["a"] > 0.4, "yes", "no")
    assert "without_skill" not in nw.train(frame, target="up", epochs=5, out=tmp_path / "signal", **QUICK).metrics


def test_todays_number_is_there_to_learn_tomorrows_from() -> None:
    days = pd.date_range("2020-01-01", periods=30).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"date": days, "price": np.arange(30) ** 1.5})
    rows = open_rows(frame, Data(target="price", ahead=1), Split(by_time="date"))
    np.testing.assert_allclose(rows.images.values["price"], frame["price"][:-1])  # type: ignore[attr-defined]
    np.testing.assert_allclose(rows.targets, frame["price"][1:])
    assert "price" not in open_rows(frame, Data(target="price"), Split()).images.values  # type: ignore[attr-defined]


def test_splits_by_time_are_of_rows_and_tear_no_groups_apart(table: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"split_by_time": "since", "out": tmp_path / "no", **QUICK}
    with pytest.raises(RecipeError, match="both given"):
        nw.train(table, target="left", group_by="plan", **settings)
    with pytest.raises(RecipeError, match="for the rows of a table"):
        nw.train("digits", **settings)


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_networks_for_images_are_refused(model: str, table: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=f"{model}', which takes images"):
        nw.train(table, target="left", model=model, out=tmp_path / "no", **QUICK)


def test_a_train_of_one_class_is_refused(tmp_path: Path) -> None:
    frame = customers(100)
    frame["left"] = ["no"] * 75 + ["no", "yes", "yes", "no", "yes"] * 5
    with pytest.raises(DataError, match="are all 'no', so there is nothing to learn"):
        nw.train(frame, target="left", split_by_time="since", out=tmp_path / "no", **QUICK)


def test_a_frame_with_two_columns_of_one_name_is_refused(table: Path) -> None:
    frame = pd.read_csv(table)
    twice = pd.concat([frame, frame[["age"]]], axis=1)
    for each in (twice, frame.rename(columns={"age": 1, "plan": "1"})):
        with pytest.raises(DataError, match="two columns called"):
            open_rows(each, Data(target="left"), Split())


@pytest.mark.parametrize("text", ["a,größe\nx,1\ny,2\n", "a,b\nx,Köln\ny,Bonn\n"])
def test_a_table_in_an_older_encoding_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        open_rows(tmp_path / "old.csv", Data(target="a"), Split())


def test_other_engines_are_for_images(trained: Any, table: Path) -> None:
    with pytest.raises(InputError, match="rows of a table are computed by torch alone, and the engine is onnx"):
        nw.predict(trained.path, [str(table)], engine="onnx")


def test_what_is_for_images_is_refused(table: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"target": "left", "out": tmp_path / "no", **QUICK}
    for given, text in (
        ({"augmentation": ["horizontal_flip"]}, "for images, and these are rows"),
        ({"transform": "weights"}, "computed or decorrelated"),
        ({"sampling": "balanced", "task": "regression"}, "for one class an image"),
    ):
        with pytest.raises((RecipeError, DataError), match=text):
            nw.train(table, **given, **settings)
    with pytest.raises(RecipeError, match="numbers in a table's rows"):
        nw.train("digits", transform="decorrelated", out=tmp_path / "no", **QUICK)


BAD = {
    "no such column": ("a,b\n1,2\n2,1\n", "c", "does not have"),
    "target missing": ("a,b\n1,\n2,\n", "b", "missing in every row"),
    "target constant": ("a,b\n1,x\n2,x\n3,x\n", "b", "in every row; there is nothing to learn"),
    "target all different": ("a,b\n1,x\n2,y\n3,z\n4,w\n", "b", "that is a name and no class"),
    "a leak": (
        "a,b,c\n" + "".join(f"{n % 5},{'xy'[n % 2]},{'ny'[n % 2]}\n" for n in range(20)), "b", "column 'c' says the",
    ),
    "a leak in another unit": (
        "m,km\n" + "".join(f"{1000 * n + 7},{(1000 * n + 7) / 1000}\n" for n in range(40)), "km", "column 'm' says the",
    ),
    "words for numbers": (
        "a,b\n" + "".join(f"{n},{'xy'[n % 2]}\n" for n in range(20)) + "many,x\n", "b", "'many' (line 22)",
    ),
    "words for targets": (
        "a,b\n" + "".join(f"{n % 7},{n * 1.5}\n" for n in range(40)) + "3,many\n", "b", "'many' (line 42)",
    ),
    "a number that is too large": (
        "a,b\n" + "".join(f"{n},{'xy'[n % 2]}\n" for n in range(20)) + "1e300,x\n", "b", "'1e300' (line 22)",
    ),
    "empty": ("", "b", "is empty"),
    "no rows": ("a,b\n", "b", "no rows"),
    "nothing to learn from": ("a,b\n1,x\n1,y\n1,x\n1,y\n", "b", "no column to learn from"),
    "an open quote": ('a,b\n"1,2\n', "b", "is a quote left open?"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_clear_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text, target, message = BAD[name]
    (tmp_path / "bad.csv").write_text(text)
    assert command_line(["train", "bad.csv", "--target", target]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("runs/*"))


def test_a_table_that_memory_may_not_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.data.tables.MOST_CELLS", 100)
    frame = pd.DataFrame({"a": np.arange(200), "b": np.arange(200) % 2})
    frame.to_csv(tmp_path / "large.csv", index=False)
    frame.to_parquet(tmp_path / "large.parquet")
    for name in ("large.csv", "large.parquet"):
        with pytest.raises(DataError, match="100 cells at most"):
            open_rows(tmp_path / name, Data(target="b"), Split())


def test_a_large_table_that_breaks_off_is_explained_before_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.data.tables.MOST_CELLS", 100)
    monkeypatch.setattr("netwright.data.tables.table_of_lines", lambda *_: pytest.fail("its lines are held"))
    (tmp_path / "large.csv").write_text("a,b\n" + "1,2\n" * 200 + '3,"4\n')
    with pytest.raises(DataError, match=r"line 20[12]: not a table .*is a quote left open"):
        open_rows(tmp_path / "large.csv", Data(target="b"), Split())


def test_parquet_and_tsv_are_the_same_rows(table: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(table)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    plain = open_rows(table, Data(target="left"), Split())
    for name in ("t.parquet", "t.tsv"):
        read = open_rows(tmp_path / name, Data(target="left"), Split())
        assert (read.targets == plain.targets).all()
        for column, values in plain.images.values.items():  # type: ignore[attr-defined]
            np.testing.assert_array_equal(read.images.values[column], values)  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "target"), [("pima_diabetes", "Outcome"), ("titanic_train", "Survived")])
def test_at_least_as_good_as_logistic_regression(name: str, target: str, tmp_path: Path, data_dir: Path) -> None:
    """The mean of 10 splits against scikit-learn's LogisticRegression on the same features and split."""
    ours, theirs = [], []
    for seed in range(10):
        run = nw.train(
            data_dir / "tabular" / f"{name}.csv", target=target, seed=seed, split={"seed": seed}, test=True,
            out=tmp_path / str(seed), **QUICK,
        )  # fmt: skip
        test = run.metrics["test"]
        ours.append(test["accuracy"])
        theirs.append(test["baselines"]["linear"]["accuracy"])
    assert np.mean(ours) >= np.mean(theirs)
