"""What a recipe has by default where the samples are the rows of a table: `data.target` is set."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

RowKind = Literal["number", "boolean", "date", "category", "ignore"]  # what a column of a table is

DEFAULTS: dict[str, dict[str, Any]] = {
    "model": {"name": "tabular_mlp"},
    "optimizer": {"name": "adamw", "lr": 0.001, "weight_decay": 0.01},
    "training": {"epochs": 100, "patience": 15, "batch_size": 64},
    # bf16 gains nothing where a layer takes microseconds (a step of 8-64-64-1 takes twice as long), and costs digits
    "runtime": {"precision": "fp32"},
}


def with_row_defaults(mapping: Mapping[str, Any], settings: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a recipe's mapping with what rows have by default, where it or the settings name a target; what the
    mapping says itself stays."""
    made = dict(mapping)
    data = made.get("data")
    of_rows = isinstance(data, Mapping) and data.get("target") is not None
    if not of_rows and not any(path in ("target", "data.target") for path, value in settings if value is not None):
        return made
    for section, fields in DEFAULTS.items():
        given = made.get(section)
        given = {"name": given} if isinstance(given, str) else dict(given or {})
        same = given.get("name", fields.get("name")) == fields.get("name")
        made[section] = {**fields, **given} if same else given
    return made
