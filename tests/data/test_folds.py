"""Folds: disjoint and whole, as even as scikit-learn's, tied rows together, no class missing where it is trained."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from netwright.data.folds import cut_folds
from netwright.errors import RecipeError


def test_they_are_as_even_as_scikit_learns() -> None:
    random = np.random.default_rng(0)
    targets = random.choice(4, 403, p=[0.6, 0.3, 0.08, 0.02])
    rows = random.choice(403, 311, replace=False)
    found = cut_folds(targets, rows, 5, 0, np.arange(403))
    assert np.array_equal(np.sort(np.concatenate(found.parts)), np.sort(rows)) and not len(found.apart)
    ours = np.array([np.bincount(targets[part], minlength=4) for part in found.parts])
    given = targets[rows]
    theirs = np.array(
        [np.bincount(given[part], minlength=4) for _, part in StratifiedKFold(5).split(given[:, None], given)]
    )
    assert np.array_equal(np.sort(ours, axis=0), np.sort(theirs, axis=0))
    assert np.ptp(ours.sum(axis=1)) <= 1
    again = cut_folds(targets, rows, 5, 0, np.arange(403))
    assert all(np.array_equal(*pair) for pair in zip(found.parts, again.parts, strict=True))
    other = cut_folds(targets, rows, 5, 1, np.arange(403))
    assert not all(np.array_equal(*pair) for pair in zip(found.parts, other.parts, strict=True))


def test_tied_rows_stay_together() -> None:
    targets = np.arange(120) % 3
    tied = np.arange(120)
    for start in range(0, 60, 6):
        tied[start : start + 6] = start  # ten sets of six, two of each class
    found = cut_folds(targets, np.arange(120), 4, 0, tied)
    fold_of = np.empty(120, np.int64)
    for number, part in enumerate(found.parts):
        fold_of[part] = number
    for start in range(0, 60, 6):
        assert len(set(fold_of[start : start + 6])) == 1
    assert all(np.bincount(targets[part]).min() >= 9 for part in found.parts)


def test_a_class_that_one_fold_would_have_alone_is_never_held_out() -> None:
    targets = np.array([0] * 10 + [1] * 10 + [2] * 4 + [3])
    tied = np.arange(25)
    tied[20:24] = 20  # all of class 2 are twins, and class 3 is one image
    found = cut_folds(targets, np.arange(25), 3, 0, tied)
    assert found.apart.tolist() == [20, 21, 22, 23, 24]
    for part in found.parts:
        assert set(targets[part]) == {0, 1}
        assert set(np.delete(targets, part)) == {0, 1, 2, 3}


@pytest.mark.parametrize("number", [1, 7])
def test_too_few_images_are_refused(number: int) -> None:
    with pytest.raises(RecipeError, match=f"{number} folds of 6 images; give between 2 and 6"):
        cut_folds(np.zeros(6, np.int64), np.arange(6), number, 0, np.arange(6))
