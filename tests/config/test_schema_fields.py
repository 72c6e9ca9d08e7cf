"""Settings that reach too deep, and arguments that each fit their type and make no sense."""

import pytest

from netwright.config.overrides import override, parse_setting
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
