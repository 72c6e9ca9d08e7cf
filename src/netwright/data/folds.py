"""Rows shared out into folds: each class evenly, tied rows together, every training part with all classes."""

from dataclasses import dataclass

import numpy as np

from netwright.data.labelled import Array, Rows
from netwright.errors import RecipeError


@dataclass(frozen=True, eq=False)
class Folds:
    """`parts` are disjoint rows, ascending; `apart` are rows of classes that only one part would have.

    Held out, nothing of such a class would be left to train on: they are trained on every time and never judged."""

    parts: tuple[Rows, ...]
    apart: Rows


def cut_folds(targets: Rows, rows: Rows, num_folds: int, seed: int, tied: Rows) -> Folds:
    """Share `rows` out; `targets` (N,) and `tied` (N,) are of all rows, equal numbers in `tied` stay together.

    Sets of tied rows go first, the largest ahead, each to the fold that has least of its classes; then the single rows
    of each class, drawn by seed, fill the folds up. Raises RecipeError for fewer than 2 folds, or less than an image a
    fold."""
    if not 2 <= num_folds <= len(rows):
        raise RecipeError(f"{num_folds} folds of {len(rows)} images; give between 2 and {len(rows)}")
    random = np.random.default_rng((seed, 0xF01D))
    num_classes = int(targets.max()) + 1
    fold_of = np.full(len(targets), -1, np.int64)
    counts = np.zeros((num_folds, num_classes), np.int64)
    single, sets = _sets(rows, tied, random)
    for one in sets:
        of = np.bincount(targets[one], minlength=num_classes)
        fold = int(np.lexsort((counts.sum(axis=1), counts @ of))[0])
        fold_of[one] = fold
        counts[fold] += of
    for number in range(num_classes):
        own = single[targets[single] == number]
        chosen = _lowest_levels(counts[:, number], counts.sum(axis=1), len(own))
        fold_of[own] = chosen
        counts[:, number] += np.bincount(chosen, minlength=num_folds)
    fold_of[np.isin(targets, np.flatnonzero((counts > 0).sum(axis=0) == 1))] = -1
    parts = [np.flatnonzero(fold_of == fold) for fold in range(num_folds)]
    return Folds(tuple(part for part in parts if len(part)), np.sort(rows[fold_of[rows] < 0]))


def _sets(rows: Rows, tied: Rows, random: np.random.Generator) -> tuple[Rows, list[Rows]]:
    """Return the rows that are tied to no other, and the sets of the others: the largest first, else by chance."""
    order = np.sort(rows)
    order = order[np.argsort(tied[order], kind="stable")]
    found = np.split(order, np.flatnonzero(np.diff(tied[order])) + 1)
    single = np.array([one[0] for one in found if len(one) == 1], dtype=np.int64)
    sets = [one for one in found if len(one) > 1]
    sets = [sets[place] for place in random.permutation(len(sets))]
    return random.permutation(single), sorted(sets, key=len, reverse=True)


def _lowest_levels(levels: Array, sizes: Array, number: int) -> Array:
    """Return the fold of each of `number` rows of a class, so that all folds end as even as can be.

    `levels` (K,) is what they have of the class, `sizes` (K,) what they have of all: of equal ones the smallest gets
    more."""
    folds = np.lexsort((sizes, levels))
    slots = levels[folds][:, None] + np.arange(number)
    taken = np.argsort(slots.T, axis=None, kind="stable")[:number]
    chosen: Array = folds[taken % len(folds)]
    return chosen
