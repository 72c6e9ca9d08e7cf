"""Settings that reach too deep, and arguments that each fit their type and make no sense."""

from typing import Any

import pytest

from netwright.config.overrides import override, parse_setting
from netwright.config.recipe import build_recipe
from netwright.errors import RecipeError


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("training.epochs.x=3", "training.epochs"),
        ("training.epochs.x.y=3", "training.epochs"),
        ("data.classes.0=cat", "data.classes"),
        ("model.arguments.width.x=3", "model.arguments.width"),
    ],
)
def test_a_setting_inside_what_is_no_mapping_is_refused(setting: str, field: str) -> None:
    base = {
        "training": {"epochs": 5},
        "data": {"classes": ["cat", "dog"]},
        "model": {"name": "resnet18", "arguments": {"width": 2}},
    }
    with pytest.raises(RecipeError, match=f"`{field}` is .* has no fields; set it as a whole"):
        override(base, [parse_setting(setting)])


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"criterion": {"name": "cross_entropy", "class_weights": [1, 0]}}, r"class_weights.*> 0"),
        ({"lr_scheduler": {"name": "linear", "warmup_steps": 9, "up_fraction": 0.5}}, r"warmup_steps` is 9.*two ways"),
        (
            {"augmentation": [{"name": "horizontal_flip", "alternating": True, "p": 0.3}]},
            r"alternating.*`.*\.p` is 0.3",
        ),
        (
            {"optimizer": {"name": "sgd", "groups": [{"parameters": "*", "lr": 0}]}},
            r"`optimizer\.groups\[0\]\.lr` is 0",
        ),
        ({"optimizer": {"name": "sgd", "groups": [{"lr": 1}]}}, r"parameters"),
        ({"lr_scheduler": {"name": "one_cycle", "warmup_steps": 9}}, r"`lr_scheduler\.warmup_steps` is 9.*up_fraction"),
    ],
)
def test_arguments_that_make_no_sense(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_recipe(mapping)
