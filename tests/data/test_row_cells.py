"""Cells of tables as numbers, dates and kinds of columns."""

from datetime import UTC, datetime

import numpy as np
import pytest

from netwright.data.cell_dates import DAY_SECONDS, as_days
from netwright.data.cell_numbers import as_number
from netwright.data.row_kinds import Look, asked_kinds, look, parse
from netwright.errors import DataError


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("3", 3), ("-2.5", -2.5), ("1e-3", 0.001), ("4,787,699", 4787699), ("-1,234.50", -1234.5), (" 7 ", 7),
        ("12 %", 0.12), ("$5", 5), ("1\u00a0000", 1000), ("\u22123", -3), ("1,2", None), ("12,34", None), ("abc", None),
        ("", None), ("1_000", None), ("inf", None), ("nan", None),
    ],
)  # fmt: skip
def test_numbers_as_tables_have_them(cell: str, number: float | None) -> None:
    assert as_number(cell) == (None if number is None else pytest.approx(number))


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("2018-10-15", (2018, 10, 15)),
        ("2018/10/15", (2018, 10, 15)),
        ("15.10.2018", (2018, 10, 15)),
        ("10/15/2018", (2018, 10, 15)),
        ("15-Oct-2018", (2018, 10, 15)),
        ("2018-10-15T12:00:00+00:00", (2018, 10, 15, 12)),
        ("11:34", None),
        ("20181015", None),
        ("yesterday", None),
    ],
)
def test_dates_as_tables_have_them(cell: str, day: tuple[int, ...] | None) -> None:
    expected = None if day is None else datetime(*day, tzinfo=UTC).timestamp() / DAY_SECONDS  # type: ignore[arg-type]
    assert as_days(cell) == expected


def seen(cells: list[str]) -> Look:
    return look(cells, [f"line {place + 2}" for place in range(len(cells))], "x", "t.csv")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "", "3"], "number"),
        (["yes", "no", "NA", "yes"], "boolean"),
        (["2020-01-01", "2020-01-02", ""], "date"),
        (["red", "blue", "red", "blue"], "category"),
        (["same"] * 4, "ignore"),
        ([""] * 4, "ignore"),
        ([str(number) for number in range(1, 31)], "ignore"),
        (["here", "", "here", ""], "category"),
        ([f"name {number}" for number in range(60)], "ignore"),
    ],
)
def test_a_look_tells_what_a_column_is(cells: list[str], kind: str) -> None:
    assert seen(cells).kind == kind


def test_words_among_numbers_are_named() -> None:
    with pytest.raises(DataError, match=r"numbers in 9 rows and other words in 1: 'many' \(line 11\).*--columns x=cat"):
        seen([*(str(number) for number in range(9)), "many"])
    with pytest.raises(DataError, match=r"dates in 9 rows and other words in 1: '11:34' \(line 2\)"):
        seen(["11:34", *(f"2018-01-0{day}" for day in range(1, 10))])


def test_values_of_the_kinds() -> None:
    values, bad = parse("number", ["1,000", "NA", "x"])
    np.testing.assert_equal(values, [1000, np.nan, np.nan])
    assert bad == [2]
    assert parse("boolean", ["Yes", "no", ""])[0].tolist()[:2] == [1, 0]
    assert parse("category", ["a", "?", "b"])[0].tolist() == ["a", "", "b"]


def test_what_is_asked_of_columns_is_checked() -> None:
    assert asked_kinds({"close": "number", "*": "ignore"}, ["A.Open", "A.Close"], "t.csv") == {
        "A.Close": "number",
        "*": "ignore",
    }
    with pytest.raises(DataError, match="did you mean"):
        asked_kinds({"agee": "number"}, ["age"], "t.csv")
    with pytest.raises(DataError, match="kinds: number, boolean, date, category, ignore"):
        asked_kinds({"age": "numeric"}, ["age"], "t.csv")
