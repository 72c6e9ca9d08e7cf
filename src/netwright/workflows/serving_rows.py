"""What a network for rows says of the columns that it takes: enough to make a form."""

from typing import Any

from netwright.data.row_transform import RowColumn, RowTransform


def describe_columns(table: RowTransform) -> list[dict[str, Any]]:
    """Return each column's name, kind and, for an example, train's median; of a category the words that train had."""
    return [_described(column) for column in table.columns]


def _described(column: RowColumn) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "kind": column.kind}
    if column.kind == "category":
        return found | {"categories": [word for word in column.categories if word]}
    return found | {"middle": column.middle[0]}  # of a date days since 1970
