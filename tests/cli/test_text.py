"""How results look, and how options become settings of the recipe."""

import json
import re

import pytest
import yaml

from netwright.cli.main import run
from netwright.cli.options import settings_of
from netwright.cli.text import accuracy, columns, duration, number, percent, print_json, table
from netwright.workflows.listing import list_parts


def test_a_table_is_aligned_and_shows_no_control_characters() -> None:
    text = table([("cat.jpg", 0.9, None), ("a\x1b[2Jb\n", 10, "x")], ("image", "p", ""), right=(1,))
    assert text.splitlines() == [
        "image          p",
        "cat.jpg      0.9  -",
        "a\\x1b[2Jb\\n   10  x",
    ]
    assert table([]) == ""


def test_accuracy_has_its_interval() -> None:
    metrics = {"accuracy": 0.981, "accuracy_interval": [0.956, 0.993], "num_samples": 270}
    assert accuracy(metrics) == "98.1 % (95.6 to 99.3 %, n = 270)"
    assert accuracy({"accuracy": None}) == "-"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(9.84, "9.8 s"), (12.4, "12 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_numbers_that_are_none_or_not_finite_are_a_dash() -> None:
    assert [percent(None), number(float("nan")), duration(None), number(0.0712345)] == ["-", "-", "-", "0.07123"]


def test_columns_read_downwards() -> None:
    assert columns(["a", "b", "c"], width=8) == "a  c\nb"


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": {"é": (1, True, None)}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": {"é": [1, True, None]}}


def test_options_become_settings() -> None:
    given = {
        "lr": "3e-4",
        "model": "1",
        "classes": "airplane, bird,3",
        "image_size": "32x48",
        "exact": True,
        "seed": None,
    }
    assert settings_of(given, ["training.patience=3"]) == [
        ("optimizer.lr", 3e-4),
        ("model.name", "1"),
        ("data.classes", ["airplane", "bird", "3"]),
        ("data.image_size", [32, 48]),
        ("runtime.exact", True),
        ("training.patience", 3),
    ]


def test_dry_run_prints_the_resolved_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    line = "train digits --dry-run --json --model mlp --epochs 3 --lr 1e-3 --image-size 16 --no-exact"
    assert run([*line.split(), "--set", "model.hidden_sizes=[20, 10]", "--set", "training.epochs=4"]) == 0
    recipe = json.loads(capsys.readouterr().out)
    assert recipe["model"]["hidden_sizes"] == [20, 10]
    assert recipe["training"]["epochs"] == 4
    assert recipe["optimizer"]["lr"] == 1e-3
    assert recipe["data"]["image_size"] == 16
    assert recipe["runtime"]["exact"] is False


def test_a_dry_run_is_a_recipe_that_can_be_given_back(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    assert run(["train", "mnist", "--dry-run", "--optimizer", "sgd", "--set", "augmentation=[{name: rotation}]"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"optimizer: \{name: sgd, .*\blr: 0\.01,", text)
    (tmp_path / "again.yaml").write_text(text)
    assert run(["train", str(tmp_path / "again.yaml"), "--dry-run"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == yaml.safe_load(text)


@pytest.mark.parametrize("kind", ["model", "augmentation", "optimizer", "criterion", "lr_scheduler"])
def test_parts_have_a_line_and_their_arguments(kind: str) -> None:
    parts = list_parts(kind)
    assert len(parts) >= 4
    for part in parts:
        assert part["doc"].endswith((".", ")"))
        assert part["name"] != "custom"
        assert all(set(argument) == {"name", "type", "default"} for argument in part["arguments"])


def test_the_arguments_of_sgd() -> None:
    sgd = next(part for part in list_parts("optimizer") if part["name"] == "sgd")
    assert sgd["arguments"][:2] == [
        {"name": "lr", "type": "float > 0", "default": 0.01},
        {"name": "momentum", "type": "float >= 0, < 1", "default": 0.0},
    ]
    # what all optimizers have comes after their own
    assert [argument["name"] for argument in sgd["arguments"][-2:]] == ["groups", "stage_lr_factor"]
    assert sgd["arguments"][-2]["type"] == "list of {parameters, lr, weight_decay, epochs}"


def test_models_lists_torchvisions_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [part["name"] for part in answer["models"]] == ["linear", "mlp", "tabular_mlp", "cnn", "alexnet", "unet"]
    assert "resnet18" in answer["torchvision"]
    assert run(["models"]) == 0
    assert re.search(r"hidden_sizes +\[200\]", capsys.readouterr().out)
