"""Which columns a network for rows goes by: its error when one is shuffled, its answer when one is set.

Sources: L. Breiman, "Random forests" (2001), for permutation importance; J. Friedman, "Greedy function approximation"
(2001), for partial dependence. Both are of the network and not of the world: columns that say the same share it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from netwright.data.labelled import Array, LabelledData, RowImages, Rows
from netwright.data.row_transform import RowColumn
from netwright.deployment.predictor import Predictor

SHUFFLES = 10
MOST_ROWS, MOST_ROWS_SET = 2000, 300
MOST_PANELS, MOST_VALUES = 4, 24
_LEAST_PROBABILITY = 1e-12


def importance(predictor: Predictor, labelled: LabelledData, rows: Rows) -> tuple[list[str], Array, str]:
    """Return the columns, by how much the error on rows (N,) rises under each of 10 shuffles, and what the error is.

    The error is the log loss, or the root mean squared error."""
    rows = rows[:: max(1, -(-len(rows) // MOST_ROWS))]
    values = _values(labelled, rows)
    targets = labelled.targets[rows]
    plain = _error(predictor, values, targets)
    names = [column.name for column in _columns(predictor)]
    rises = np.zeros((len(names), SHUFFLES))
    for place, name in enumerate(names):
        for shuffle in range(SHUFFLES):
            order = np.random.default_rng((place, shuffle)).permutation(len(rows))
            changed = {**values, name: values[name][order]}
            rises[place, shuffle] = _error(predictor, changed, targets) - plain
    return names, rises, "log loss" if labelled.class_names else "root mean squared error"


def dependence(predictor: Predictor, labelled: LabelledData, rows: Rows, names: list[str]) -> list[dict[str, Any]]:
    """Return for each column the values that it is set to in some of the rows (N,), and the mean answer for each.

    The answer is the probability of the last class, or the number."""
    rows = rows[:: max(1, -(-len(rows) // MOST_ROWS_SET))]
    values = _values(labelled, rows)
    kinds = {column.name: column for column in _columns(predictor)}
    panels = []
    for name in names[:MOST_PANELS]:
        tried = _tried(kinds[name], values[name])
        answers = []
        for value in tried:
            column = np.full(len(rows), value, dtype=values[name].dtype)
            said = _answers(predictor, {**values, name: column})
            answers.append(float((said[:, -1] if said.ndim == 2 else said).mean()))
        panels.append({"name": name, "kind": kinds[name].kind, "values": tried, "answers": answers})
    return panels


def _columns(predictor: Predictor) -> tuple[RowColumn, ...]:
    table = predictor.transform.table
    assert table is not None
    return table.columns


def _values(labelled: LabelledData, rows: Rows) -> dict[str, Array]:
    assert isinstance(labelled.images, RowImages)
    return dict(labelled.images.take(rows).values)


def _answers(predictor: Predictor, values: Mapping[str, Array]) -> Array:
    table = predictor.transform.table
    assert table is not None
    return predictor.rows(predictor.finish(torch.from_numpy(table.encode(values))[:, None, None, :]))


def _error(predictor: Predictor, values: Mapping[str, Array], targets: Array) -> float:
    said = _answers(predictor, values)
    if said.ndim == 1:
        return float(np.sqrt(((said - targets) ** 2).mean()))
    return float(-np.log(np.maximum(said[np.arange(len(targets)), targets], _LEAST_PROBABILITY)).mean())


def _tried(column: RowColumn, values: Array) -> list[Any]:
    """Return the values that a column is set to: quantiles of what there is, or the most frequent words."""
    if column.kind == "category":
        words, counts = np.unique(values.astype(str), return_counts=True)
        return [str(word) for word in words[np.argsort(-counts, kind="stable")][:8]]
    known = values[~np.isnan(values)]
    if not len(known):
        return [0.0]
    return sorted({float(value) for value in np.quantile(known, np.linspace(0.02, 0.98, MOST_VALUES))})
