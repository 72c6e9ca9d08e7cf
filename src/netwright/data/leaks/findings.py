"""What twins mean for splits and labels: who is in two splits, who stands under two labels, as a record for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.data.labelled import Array, LabelledData, RowImages, Rows
from netwright.data.leaks.twins import Twins

MOST_LISTED = 20


@dataclass(frozen=True, eq=False)
class _View:
    """What is asked again and again: N rows, the content of each, the pairs of contents that are near twins."""

    labelled: LabelledData
    twins: Twins

    def having(self, rows: Rows) -> Array:
        """Return for each row number whether it is the content of one of these rows, (N,) bool."""
        found = np.zeros(len(self.labelled), bool)
        found[self.twins.content[rows]] = True
        return found

    def near(self, having: Array) -> Array:
        """Return for each content whether a near twin of it is among some contents, (N,) bool."""
        first, second = self.twins.near.first, self.twins.near.second
        found = np.zeros(len(self.labelled), bool)
        found[second[having[first]]] = True
        found[first[having[second]]] = True
        return found


def find_leaks(labelled: LabelledData, twins: Twins, splits: Mapping[str, Rows]) -> dict[str, Any]:
    """Return how many images of each split have a twin in another or in their own, with the first ones by name.

    Keys: `num_images`, `things` (what they are: images or rows), `seconds`, `unchecked`, `limit` (agreement from which
    two are near twins), `across` (a list of {splits: [of, in], exact, near, listed}), `within` (split -> {exact:
    superfluous copies, near: images with a near twin}), `conflicts` ({exact, near, listed}: images that a twin stands
    under another label), `test_with_twin` (rows of test with a twin in train or val)."""
    view = _View(labelled, twins)
    names = list(splits)
    across = [_across(view, splits, names[one], names[other]) for other in range(len(names)) for one in range(other)]
    return {
        "num_images": len(labelled),
        "things": "rows" if isinstance(labelled.images, RowImages) else "images",
        "seconds": round(twins.seconds, 3),
        "unchecked": twins.unchecked,
        "limit": twins.near.limit,
        "across": across,
        "within": {split: _within(view, rows) for split, rows in splits.items()},
        "conflicts": _conflicts(view),
        "test_with_twin": test_with_twin(labelled, twins, splits),
    }


def test_with_twin(labelled: LabelledData, twins: Twins, splits: Mapping[str, Rows]) -> list[int]:
    """Return the rows of test that have an equal image or a near twin in train or val."""
    if "test" not in splits or len(splits) == 1:
        return []
    view = _View(labelled, twins)
    others = view.having(np.concatenate([rows for split, rows in splits.items() if split != "test"]))
    rows = splits["test"]
    known = others | view.near(others)
    return [int(row) for row in rows[known[twins.content[rows]]]]


def _across(view: _View, splits: Mapping[str, Rows], seen: str, judged: str) -> dict[str, Any]:
    """Count the images of `judged` that have a twin in `seen`."""
    content, rows = view.twins.content, splits[judged]
    there = view.having(splits[seen])
    exact = rows[there[content[rows]]]
    near = rows[view.near(there)[content[rows]] & ~there[content[rows]]]
    pairs = _equal_pairs(view, exact[:MOST_LISTED], splits[seen])
    pairs += _near_pairs(view, near[: MOST_LISTED - len(pairs)], splits[seen], there)
    return {"splits": [judged, seen], "exact": len(exact), "near": len(near), "listed": pairs}


def _equal_pairs(view: _View, rows: Rows, seen: Rows) -> list[list[Any]]:
    names, content = view.labelled.sample_names, view.twins.content
    first = {int(content[row]): int(row) for row in seen[::-1]}
    return [[names[int(row)], names[first[int(content[row])]], 1.0] for row in rows]


def _near_pairs(view: _View, rows: Rows, seen: Rows, there: Array) -> list[list[Any]]:
    """Return [name, name of the likest there, agreement] of some rows that have a near twin there."""
    names, content, near = view.labelled.sample_names, view.twins.content, view.twins.near
    first = {int(content[row]): int(row) for row in seen[::-1]} if len(rows) else {}
    listed: list[list[Any]] = []
    for row in rows:
        as_first = (near.first == content[row]) & there[near.second]
        as_second = (near.second == content[row]) & there[near.first]
        places = np.flatnonzero(as_first | as_second)
        best = places[np.argmax(near.agreement[places])]
        other = near.second[best] if as_first[best] else near.first[best]
        listed.append([names[int(row)], names[first[int(other)]], _rounded(near.agreement[best])])
    return listed


def _within(view: _View, rows: Rows) -> dict[str, int]:
    there = view.having(rows)
    near = view.near(there)[view.twins.content[rows]]
    return {"exact": len(rows) - int(there.sum()), "near": int(near.sum())}


def _conflicts(view: _View) -> dict[str, Any]:
    """Count images whose equals, and near twins, stand under another label; list the first."""
    labelled, content, near = view.labelled, view.twins.content, view.twins.near
    targets = labelled.targets
    rows = np.flatnonzero(targets != targets[content])
    exact = [(int(content[row]), int(row), 1.0) for row in rows]
    differing = np.flatnonzero(targets[near.first] != targets[near.second])
    alike = [(int(near.first[p]), int(near.second[p]), _rounded(near.agreement[p])) for p in differing]
    listed = [
        [_with_label(labelled, one), _with_label(labelled, other), agreement]
        for one, other, agreement in (exact + sorted(alike, key=lambda pair: -pair[2]))[:MOST_LISTED]
    ]
    return {"exact": len(exact), "near": len(alike), "listed": listed, "task": labelled.task}


def _rounded(agreement: float) -> float:
    """Return four digits, under 1: that is what equal images have."""
    return min(0.9999, round(float(agreement), 4))


def _with_label(labelled: LabelledData, row: int) -> str:
    return f"{labelled.sample_names[row]} ({labelled.label(row)})"


def count_across(record: Mapping[str, Any], kind: str) -> int:
    """Return how many images, exact or near, have a twin in another split; one that has two counts for each split."""
    return sum(part[kind] for part in record["across"])


def listed_pairs(pairs: Sequence[Sequence[Any]], most: int) -> list[str]:
    """Return pairs as lines, "a = b" for equal ones and "a ~ b (0.98)" for near ones."""
    lines = []
    for one, other, agreement in pairs[:most]:
        lines.append(f"{one} = {other}" if agreement == 1.0 else f"{one} ~ {other} ({agreement:.2f})")
    return lines
