"""Settings one by one: the same recipe from the command line, a file and keyword arguments."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.config.overrides import SHORT_NAMES, override, parse_setting, read_scalar
from netwright.config.recipe import build_recipe
from netwright.errors import RecipeError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3e-4", 3e-4),
        ("1e3", 1000.0),
        ("0.1", 0.1),
        ("-1", -1),
        ("true", True),
        ("null", None),
        ("[3, 4]", [3, 4]),
        ("{name: cutout}", {"name": "cutout"}),
        ("cnn", "cnn"),
        ("", None),
        ("'3'", 3.0),
    ],
)
def test_values_are_yaml_in_which_3e_4_is_a_number(text: str, value: object) -> None:
    assert read_scalar(text) == value


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_every_rate_reads_back(rate: float) -> None:
    assert read_scalar(repr(rate)) == rate
    assert read_scalar(f"{rate:e}") == float(f"{rate:e}")


@pytest.mark.parametrize("text", ["training.patience", "=3", "", "a b"])
def test_a_setting_has_a_field_and_a_value(text: str) -> None:
    with pytest.raises(RecipeError, match="not of the form field=value"):
        parse_setting(text)


def test_a_value_may_hold_the_equals_sign() -> None:
    assert parse_setting("data.source=a=b") == ("data.source", "a=b")


def test_short_names_are_fields() -> None:
    for path in SHORT_NAMES.values():
        section, _, field = path.partition(".")
        value = build_recipe({}).to_mapping()[section]
        assert field in {**value, "name": ""} if field else value == ()  # the list of augmentations is set as a whole


SETTINGS: list[tuple[str, Any]] = [("lr", 0.5), ("optimizer", "sgd"), ("optimizer.momentum", 0.9), ("epochs", 3)]


@given(st.permutations(SETTINGS))
def test_the_order_of_settings_changes_nothing(settings: list[tuple[str, Any]]) -> None:
    recipe = build_recipe(override({"optimizer": {"name": "adam", "betas": [0.8, 0.9]}}, settings))
    assert recipe.to_mapping()["optimizer"] == {
        "groups": (), "stage_lr_factor": 1.0, "name": "sgd", "lr": 0.5, "momentum": 0.9, "nesterov": False,
        "weight_decay": 0.0,
    }  # fmt: skip
    assert recipe.training.epochs == 3


def test_later_settings_win() -> None:
    assert override({}, [("epochs", 3), ("training.epochs", 4)])["training"]["epochs"] == 4


def test_the_same_name_keeps_the_arguments_and_another_drops_them() -> None:
    base = {"model": {"name": "mlp", "hidden_sizes": [5]}}
    assert override(base, [("model", "mlp")])["model"] == {"name": "mlp", "hidden_sizes": [5]}
    assert override(base, [("model", "cnn")])["model"] == {"name": "cnn"}
    assert base == {"model": {"name": "mlp", "hidden_sizes": [5]}}


def test_a_part_given_by_its_name_alone_takes_arguments() -> None:
    assert override({"model": "mlp"}, [("model.dropout", 0.5)])["model"] == {"name": "mlp", "dropout": 0.5}
    assert override({}, [("lr", 0.5)])["optimizer"] == {"name": "adam", "lr": 0.5}


def test_arguments_of_torchvisions_models_are_nested() -> None:
    made = override({"model": "resnet18"}, [("model.arguments.width_per_group", 32)])["model"]
    assert made == {"name": "resnet18", "arguments": {"width_per_group": 32}}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([("trainin.epochs", 3)], r"`trainin\.epochs` is not a field of the recipe \(did you mean \"training"),
        ([("epoch", 3)], r"`epoch` is not a field .*did you mean \"epochs\""),
        ([("augmentation.padding", 3)], r"`augmentation` is a list; set it as a whole"),
    ],
)
def test_unknown_fields_are_named(settings: list[tuple[str, Any]], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        override({"augmentation": [{"name": "cutout"}]}, settings)
