"""From a row's values to the network's input, with what was learnt of train alone: the evaluation transform of a row.

It is kept in the bundle, so that a row is read at serving as it was in training."""

import warnings
from collections.abc import Mapping

import msgspec
import numpy as np

from netwright.config.rows import RowKind
from netwright.data.labelled import Array, Rows

Values = Mapping[str, Array]
_LEAST_STD = 1e-12  # of a column's largest number: less is what rounding makes of equal ones


class RowColumn(msgspec.Struct, frozen=True, kw_only=True):
    """How one column is read. A number, boolean or date gives features, one for each of `mean` and `std` (a date its
    day, month and weekday): `middle`, the median of train, stands for a missing one, and `missing` adds a feature that
    says so. A category gives a code: its place in `categories` from 1 on, 0 for one that train did not have."""

    name: str
    kind: RowKind
    middle: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    missing: bool = False
    categories: tuple[str, ...] = ()


class RowTransform(msgspec.Struct, frozen=True, kw_only=True):
    """How rows are read: features (N, D) float32 are standardised numbers, then the categories' codes.

    `mix` (M, M), where there is one, turns the M numbers into ones without correlation in train."""

    columns: tuple[RowColumn, ...]
    mix: tuple[tuple[float, ...], ...] = ()

    @property
    def num_numbers(self) -> int:
        return sum(len(column.mean) + column.missing for column in self.columns)

    @property
    def category_sizes(self) -> tuple[int, ...]:
        """How many codes each category has, 0 among them."""
        return tuple(len(column.categories) + 1 for column in self.columns if column.kind == "category")

    @property
    def num_features(self) -> int:
        return self.num_numbers + len(self.category_sizes)

    def encode(self, values: Values) -> Array:
        """Turn the columns' values (N,), as `row_kinds.parse` gives them, into features (N, D) float32."""
        numbers = [self._numbers(column, values[column.name]) for column in self.columns if column.kind != "category"]
        codes = [_codes(column, values[column.name]) for column in self.columns if column.kind == "category"]
        num_rows = len(next(iter(values.values())))
        block = np.column_stack(numbers) if numbers else np.zeros((num_rows, 0))
        if self.mix:
            block = block @ np.array(self.mix)
        return np.column_stack([block, *codes]).astype(np.float32)

    @staticmethod
    def _numbers(column: RowColumn, values: Array) -> Array:
        parts = raw_features(column.kind, values)
        unknown = np.isnan(parts)
        parts = np.where(unknown, np.array(column.middle), parts)
        parts = (parts - np.array(column.mean)) / np.array(column.std)
        return np.column_stack([parts, unknown[:, 0]]) if column.missing else parts


def fit_rows(values: Values, kinds: Mapping[str, RowKind], train: Rows, *, decorrelate: bool = False) -> RowTransform:
    """Learn how to read columns from the rows of train; a column without any difference there is left out."""
    columns = [_fitted(name, kind, values[name][train]) for name, kind in kinds.items() if kind != "ignore"]
    kept = tuple(column for column in columns if column is not None)
    made = RowTransform(columns=kept)
    if not decorrelate or not made.num_numbers:
        return made
    features = made.encode({column.name: values[column.name][train] for column in kept})
    return RowTransform(columns=kept, mix=_decorrelated(features[:, : made.num_numbers].astype(np.float64)))


def raw_features(kind: RowKind, values: Array) -> Array:
    """Return a column's numbers (N, F) float64: itself, or day, month and weekday (Monday 0) of a date."""
    if kind != "date":
        return np.asarray(values, dtype=np.float64)[:, None]
    known = ~np.isnan(values)
    days = np.floor(np.where(known, values, 0)).astype("datetime64[D]")
    months = days.astype("datetime64[M]").astype(np.int64) % 12
    weekdays = (days.astype(np.int64) + 3) % 7
    parts = np.column_stack([values, months + 1.0, weekdays.astype(np.float64)])
    parts[~known] = np.nan
    return parts


def _fitted(name: str, kind: RowKind, values: Array) -> RowColumn | None:
    if kind == "category":
        names, counts = np.unique(values.astype(str), return_counts=True)
        words = tuple(str(word) for word in names[counts > 0])
        return RowColumn(name=name, kind=kind, categories=words) if len(words) > 1 else None
    parts = raw_features(kind, values)
    unknown = np.isnan(parts)
    if unknown.all():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        middle = np.nanmedian(parts, axis=0)
    filled = np.where(unknown, middle, parts)
    mean, std = filled.mean(axis=0), filled.std(axis=0)
    some_missing = bool(unknown.any())
    same = std <= _LEAST_STD * np.abs(filled).max(axis=0)
    if not some_missing and same.all():
        return None
    std[same] = 1.0
    return RowColumn(
        name=name,
        kind=kind,
        missing=some_missing,
        middle=tuple(middle.tolist()),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
    )


def _codes(column: RowColumn, values: Array) -> Array:
    place = {word: number for number, word in enumerate(column.categories, 1)}
    return np.array([place.get(word, 0) for word in values], dtype=np.float64)


def _decorrelated(numbers: Array) -> tuple[tuple[float, ...], ...]:
    """Return the matrix after which numbers (N, M), of mean 0, have the identity as their covariance (PCA whitening).

    A direction with next to no variance of its own (one column is the sum of others) is left as small as it is."""
    values, vectors = np.linalg.eigh(np.cov(numbers, rowvar=False).reshape(numbers.shape[1], -1))
    scale = 1 / np.sqrt(np.maximum(values, 1e-9 * max(values.max(), 1e-9)))
    return tuple(tuple(float(number) for number in row) for row in vectors * scale)
