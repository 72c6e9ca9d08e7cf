"""Cutting splits without tearing apart what belongs together: copies of one image, images of one patient."""

from collections.abc import Mapping

import numpy as np

from netwright.data.labelled import Array, Rows
from netwright.errors import DataError, listed


def place_sets(
    targets: Rows, whole: Rows, tied: Rows | None, classes: Rows, shares: Mapping[str, Rows], seed: int
) -> dict[str, Rows]:
    """Give every set of two and more tied rows to one split; return the rows of each, {} when there are no such sets.

    `shares` says how many rows of each of `classes` val and test are to have. The largest sets go first, equal ones in
    an order drawn by seed, each to the split that is emptiest for its classes, measured in what that split is to have,
    unless more than half of the set would be too much for it: so sets of all sizes come in all splits."""
    if tied is None:
        return {}
    _, number, sizes = np.unique(tied[whole], return_inverse=True, return_counts=True)
    number = number.reshape(-1)
    sets = np.flatnonzero(sizes > 1)
    if not len(sets):
        return {}
    wanted: dict[str, Array] = {name: shares[name].astype(np.float64) for name in ("test", "val")}
    wanted["train"] = np.bincount(np.searchsorted(classes, targets[whole]), minlength=len(classes)) - sum(
        wanted.values()
    )
    sets = sets[np.random.default_rng((seed, 0x7E4)).permutation(len(sets))]
    sets = sets[np.argsort(-sizes[sets], kind="stable")]
    members = np.split(whole[np.argsort(number, kind="stable")], np.cumsum(sizes)[:-1])
    given: dict[str, Array] = {name: np.zeros(len(classes)) for name in wanted}
    placed: dict[str, list[Rows]] = {name: [] for name in wanted}
    for one in sets:
        rows = members[one]
        counts = np.bincount(np.searchsorted(classes, targets[rows]), minlength=len(classes))
        name = min(wanted, key=lambda split: _fullness(counts, given[split], wanted[split]))
        if name != "train" and len(rows) > 2 * (wanted[name].sum() - given[name].sum()):
            name = "train"
        placed[name].append(rows)
        given[name] += counts
    _fill_empty(placed, wanted)
    return {name: np.concatenate(parts) if parts else np.empty(0, np.int64) for name, parts in placed.items()}


def _fullness(counts: Rows, given: Array, goal: Array) -> float:
    """Return how full a split is for the classes of a set, in parts of what it is to have; infinite when it has none
    coming."""
    if goal.sum() <= 0:
        return float("inf")
    return float((counts * (given + 0.5 * counts)).sum() / max((counts * goal).sum(), 1e-9))


def _fill_empty(placed: dict[str, list[Rows]], wanted: Mapping[str, Array]) -> None:
    """Where everything is tied, in sets too large for a share, a split that was asked for still gets the smallest."""
    # single rows fill what is open: only without any is a split left empty
    total = sum(len(rows) for parts in placed.values() for rows in parts)
    if total < sum(goal.sum() for goal in wanted.values()):
        return
    for name in ("test", "val"):
        if not placed[name] and wanted[name].sum() > 0:
            if len(placed["train"]) < 2:
                raise DataError(
                    f"there are too few groups (or sets of twins) for a {name} split of its own; set `split.{name}` to "
                    "0, or group the images otherwise"
                )
            placed[name].append(placed["train"].pop())


def check_trained(targets: Rows, rows: Mapping[str, Rows], classes: Rows, class_names: tuple[str, ...]) -> None:
    """Raise DataError for classes that have no image in train, since all of them are tied to images elsewhere."""
    trained = np.unique(targets[rows["train"]])
    lost = [class_names[number] if class_names else "numbers" for number in classes if number not in trained]
    if lost:
        raise DataError(
            f"no image is left to train on for: {listed(lost)}; its images belong to too few groups (or sets of "
            "twins), which are in one split each: another `split.seed` may do, or more groups"
        )
