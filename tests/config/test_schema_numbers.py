"""Numbers of the recipe that are no finite numbers, or that make no sense together."""

from typing import Any

import pytest

from netwright.config.recipe import build_recipe
from netwright.errors import RecipeError

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({"optimizer": {"name": "sgd", "lr": INF}}, r"`optimizer\.lr` is inf"),
        ({"optimizer": {"name": "adam", "betas": [0.9, NAN]}}, r"`optimizer\.betas\[1\]` is nan"),
        ({"transform": {"normalize": [NAN, 0.5]}}, r"`transform\.normalize\[0\]` is nan"),
        ({"transform": {"normalize": [[0.1, 0.2, 0.3], [1, INF, 1]]}}, r"`transform\.normalize\[1\]\[1\]` is inf"),
        ({"data": {"value_range": [-INF, 1]}}, r"`data\.value_range\[0\]` is -inf"),
        ({"training": {"max_minutes": INF}}, r"`training\.max_minutes` is inf"),
        ({"criterion": {"name": "nll", "class_weights": [1, NAN]}}, r"`criterion\.class_weights\[1\]` is nan"),
        ({"model": {"name": "resnet18", "arguments": {"scale": INF}}}, r"`model\.arguments\.scale` is inf"),
    ],
)
def test_infinity_and_nan_are_refused_by_name(mapping: dict[str, Any], field: str) -> None:
    with pytest.raises(RecipeError, match=f"{field}; expected a (finite )?number"):
        build_recipe(mapping)
