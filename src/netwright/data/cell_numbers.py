"""Numbers as tables have them: 1,234.5, 1 234, 12 %, quoted or not. No NumPy at import."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netwright.errors import DataError, listed

if TYPE_CHECKING:
    from netwright.data.labelled import Array

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "-", "?", "missing"))
MEASURED = 20  # different numbers, some with a fraction, from which on labels are measured and not classes
_LARGEST = 3e38  # what a network computes with, float32, holds no more
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")


def as_number(cell: str) -> float | None:
    """Return the number that a cell's text is, or None; commas and blanks may stand between thousands, % is 1/100."""
    text = cell.strip().replace("\u00a0", "").replace("\u202f", "").replace("\u2212", "-")
    share = text.endswith("%")
    text = text.removesuffix("%").strip().removeprefix("$").removeprefix("€")
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    try:
        number = float(text)
    except ValueError:
        return None
    if "_" in text or not math.isfinite(number) or abs(number) > _LARGEST:
        return None
    return number / 100 if share else number


def are_measured(cells: Sequence[str]) -> bool:
    """Say whether cells are measured numbers and no names of classes: all numbers, some with a fraction, many."""
    numbers = {as_number(cell) for cell in cells}
    return None not in numbers and len(numbers) > MEASURED and any(number % 1 for number in numbers if number)


def as_numbers(cells: Sequence[str], places: Sequence[str], column: str, name: str) -> "Array":
    """Return cells as numbers (N,) float64. Raises DataError that names the places of what is none."""
    import numpy as np

    numbers = [as_number(cell) for cell in cells]
    wrong = [f"{cell!r} ({place})" for cell, place, found in zip(cells, places, numbers, strict=True) if found is None]
    if wrong:
        raise DataError(
            f"{name}: column {column!r} has cells that are no numbers: {listed(wrong, 5)}; "
            f"correct them (finite, at most {_LARGEST:.1e}), or train a classifier: --task classification"
        )
    return np.array(numbers, dtype=np.float64)
