"""The evaluation transform of a row: learnt of train alone, against scikit-learn; kept whole in a bundle."""

import msgspec
import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from netwright.config.rows import RowKind
from netwright.data.row_kinds import parse
from netwright.data.row_transform import RowTransform, fit_rows

RANDOM = np.random.default_rng(0)
TRAIN = np.arange(60)
KINDS: dict[str, RowKind] = {"size": "number", "colour": "category", "day": "date"}


def columns() -> dict[str, np.ndarray]:
    size = RANDOM.normal(1e5, 300, 100)
    size[::7] = np.nan
    colour = np.array(["red", "blue", "", "green"], dtype=object)[RANDOM.integers(0, 3, 100)]
    colour[80:] = "mauve"  # never in train
    return {"size": size, "colour": colour, "day": 17_000.0 + np.arange(100)}


def test_numbers_are_scikit_learns_of_train() -> None:
    values = columns()
    made = fit_rows(values, KINDS, TRAIN)
    size = values["size"][:, None]
    imputer = SimpleImputer(strategy="median").fit(size[TRAIN])
    scaler = StandardScaler().fit(imputer.transform(size[TRAIN]))
    features = made.encode(values)
    np.testing.assert_allclose(features[:, 0], scaler.transform(imputer.transform(size))[:, 0], atol=1e-5)
    np.testing.assert_array_equal(features[:, 1], np.isnan(values["size"]))
    assert made.num_features == features.shape[1] == 2 + 3 + 1
    assert made.category_sizes == (4,)  # 0, "", blue, red


def test_rows_outside_train_change_nothing() -> None:
    values = columns()
    made = fit_rows(values, KINDS, TRAIN)
    values["size"][70] = 1e9
    assert fit_rows(values, KINDS, TRAIN) == made


@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_a_columns_unit_does_not_matter(unit: float) -> None:
    values = {"charge": unit * np.arange(10.0), "same": np.full(10, 0.1 * unit)}
    made = fit_rows(values, {"charge": "number", "same": "number"}, np.arange(10))
    assert [column.name for column in made.columns] == ["charge"]
    np.testing.assert_allclose(made.encode(values)[:, 0], (np.arange(10) - 4.5) / np.arange(10).std(), rtol=1e-5)


def test_a_category_that_train_did_not_have_is_code_0() -> None:
    values = columns()
    codes = fit_rows(values, KINDS, TRAIN).encode(values)[:, -1]
    assert (codes[80:] == 0).all()
    assert (codes[:60] > 0).all()


def test_a_date_is_its_day_month_and_weekday() -> None:
    days, _ = parse("date", ["2024-02-29", "2024-03-01", "2023-12-25"])
    made = fit_rows({"day": days}, {"day": "date"}, np.arange(3))
    raw = made.encode({"day": days}) * np.array(made.columns[0].std) + np.array(made.columns[0].mean)
    np.testing.assert_allclose(raw[:, 1], [2, 3, 12], atol=1e-4)
    np.testing.assert_allclose(raw[:, 2], [3, 4, 0], atol=1e-4)  # Thursday, Friday, Monday


def test_decorrelated_numbers_have_no_correlation_in_train() -> None:
    base = RANDOM.normal(100, 30, 200)
    values = {name: base + RANDOM.normal(0, 0.3, 200) for name in ("open", "close", "high")}
    kinds: dict[str, RowKind] = dict.fromkeys(values, "number")
    features = fit_rows(values, kinds, np.arange(150), decorrelate=True).encode(values)
    np.testing.assert_allclose(np.cov(features[:150], rowvar=False), np.eye(3), atol=1e-3)


def test_it_survives_being_saved() -> None:
    values = columns()
    made = fit_rows(values, KINDS, TRAIN, decorrelate=True)
    read = msgspec.convert(msgspec.json.decode(msgspec.json.encode(made)), RowTransform)
    assert read == made
    np.testing.assert_array_equal(read.encode(values), made.encode(values))


def test_what_never_differs_in_train_is_left_out() -> None:
    values = {"a": np.ones(10), "b": np.full(10, np.nan), "c": np.arange(10.0)}
    made = fit_rows(values, dict.fromkeys(values, "number"), np.arange(10))
    assert [column.name for column in made.columns] == ["c"]


@pytest.mark.parametrize("decorrelate", [False, True])
def test_a_table_of_categories_alone_is_codes_alone(decorrelate: bool) -> None:
    words = np.array(["a", "b"] * 5, dtype=object)
    made = fit_rows({"w": words}, {"w": "category"}, np.arange(10), decorrelate=decorrelate)
    np.testing.assert_array_equal(made.encode({"w": words})[:, 0], [1, 2] * 5)
