"""Groups of images that belong together (patient, video, plate): from their names, or a column of the archive."""

import re
from dataclasses import replace

import numpy as np

from netwright.data.labelled import Array, FileImages, LabelledData, Rows
from netwright.errors import DataError, RecipeError, listed


def with_groups(labelled: LabelledData, group_by: str | None) -> LabelledData:
    """Return the data with the group of each image, (N,) int64, by a column that its source has or by a regex.

    A regex is for files: searched in the path below the source, its one capturing group is the group's name. Raises
    RecipeError for a regex that is none, DataError when it does not match every file or there is no such column."""
    if group_by is None:
        return labelled if labelled.groups is None else replace(labelled, groups=None)
    if labelled.groups is not None:  # by a column of the archive or table
        return labelled
    if not isinstance(labelled.images, FileImages):
        raise DataError(
            f"`data.group_by` is {group_by!r} and {labelled.name} has neither files nor such a column; it is a regex "
            "for the paths of files, the key of an .npz with one value an image, or a column of a table"
        )
    pattern = _compiled(group_by)
    found = [pattern.search(name) for name in labelled.sample_names]
    missing = [name for name, match in zip(labelled.sample_names, found, strict=True) if _name_of(match) is None]
    if missing:
        raise DataError(
            f"`data.group_by` {group_by!r} matches {len(found) - len(missing)} of {len(found)} paths; not, for "
            f"example, {listed(missing, 3)}"
        )
    names = [_name_of(match) for match in found]
    return replace(labelled, groups=number_groups(np.array(names, dtype=str)))


def _name_of(match: re.Match[str] | None) -> str | None:
    return None if match is None else match.group(1)


def _compiled(group_by: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise RecipeError(f"`data.group_by` {group_by!r} is not a regex ({error}); such as '(patient[0-9]+)'") from None
    if pattern.groups != 1:
        raise RecipeError(
            f"`data.group_by` {group_by!r} has {pattern.groups} capturing groups; expected one, such as "
            "'(patient[0-9]+)_'"
        )
    return pattern


def number_groups(values: Array) -> Rows:
    """Return values (N,) of whatever kind as numbers of their groups, (N,) int64."""
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)


def groups_in_two_splits(labelled: LabelledData, splits: dict[str, Rows]) -> list[str]:
    """Return an example image of each group that is in two splits."""
    if labelled.groups is None:
        return []
    seen = np.zeros(int(labelled.groups.max()) + 1, np.int64)
    for rows in splits.values():
        seen[np.unique(labelled.groups[rows])] += 1
    first = {int(group): row for row, group in reversed(list(enumerate(labelled.groups.tolist())))}
    return [str(labelled.sample_names[first[int(group)]]) for group in np.flatnonzero(seen > 1)]
