"""ImageClassifier against scikit-learn's own checks and its meta-estimators."""

import copy
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import netwright as nw
from netwright.errors import DataError, RecipeError

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
SMALL = {"name": "mlp", "hidden_sizes": [16]}


@pytest.fixture(autouse=True)
def quick(no_leaks: None) -> Iterator[None]:
    """One thread, which is quickest for networks this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Arrays:
    """scikit-learn's digits: images (N, 8, 8) of 0 to 16 for training and test, and their targets."""
    bunch = load_digits()
    return tuple(train_test_split(bunch.images, bunch.target, random_state=0, stratify=bunch.target))  # type: ignore[return-value]


def few(**changes: Any) -> nw.ImageClassifier:
    """A classifier that trains in no time."""
    return nw.ImageClassifier(**{"model": SMALL, "epochs": 2, "lr": 0.01, "random_state": 0} | changes)


@parametrize_with_checks(
    [nw.ImageClassifier(SMALL, epochs=5, lr=0.03, batch_size=16, random_state=0)]
)  # none is left out
def test_sklearn_estimator_checks(estimator: nw.ImageClassifier, check: Callable[..., None]) -> None:
    check(estimator)


def test_images_reach_95_percent_of_digits(digits: Arrays) -> None:
    train, test, train_y, test_y = digits
    classifier = nw.ImageClassifier(epochs=8, lr=0.002, random_state=0).fit(train, train_y)
    assert classifier.run_.recipe.model.name == "cnn"
    assert classifier.image_shape_ == (8, 8, 1)
    assert classifier.score(test, test_y) >= 0.95
    assert [record["epoch"] for record in classifier.run_.history] == list(range(1, 9))


def test_probabilities_are_those_of_the_run(digits: Arrays) -> None:
    train, test, train_y, _ = digits
    names = np.array([f"digit {number}" for number in range(10)])
    classifier = few().fit(train[:300], names[train_y[:300]])
    probabilities = classifier.predict_proba(test[:70])
    answers = classifier.run_.predict(test[:70])
    wanted = [[answer["probabilities"][name] for name in classifier.classes_] for answer in answers]
    np.testing.assert_allclose(probabilities, wanted, atol=1e-6)
    assert classifier.predict(test[:70]).tolist() == [answer["label"] for answer in answers]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(
    "classes", [[2, 10, 1], [-5, 0, 7], ["b", "a", "c"], [1.0, 3.0, 2.0], [10, 11, 9]], ids=lambda c: str(c[0])
)
def test_any_labels(classes: list[Any]) -> None:
    labels = np.array(classes * 12)
    images = np.array([[0, 100, 200][place % 3] for place in range(36)], dtype=np.uint8)[:, None, None]
    images = np.broadcast_to(images, (36, 4, 4))
    classifier = few(epochs=30, batch_size=12).fit(images, labels)
    assert classifier.classes_.tolist() == sorted(classes)
    assert classifier.predict(images[:3]).tolist() == classes
    assert {answer["label"] for answer in classifier.run_.predict(np.array(images[:3]))} == {str(c) for c in classes}


def test_rows_images_tensors_and_lists_are_the_same_samples(digits: Arrays) -> None:
    images, y = digits[0][:100], digits[2][:100]
    classifier = few().fit(images, y)
    wanted = classifier.predict_proba(images)
    rows = images.reshape(100, 64)
    same = {
        "rows": rows,
        "channel": images[..., None],
        "tensor": torch.tensor(images)[:, None],
        "list": list(images),
        "int": images.astype(int),
        "bytes": images.astype(np.uint8),
    }
    for kind, X in same.items():
        np.testing.assert_allclose(classifier.predict_proba(X), wanted, atol=1e-7, err_msg=kind)
    shaped = few(image_shape=(8, 8)).fit(rows, y)
    np.testing.assert_array_equal(shaped.predict_proba(rows), wanted)
    assert shaped.n_features_in_ == classifier.n_features_in_ == 64


def test_colour_pictures_fitted_on_bytes_take_floats_too() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
    y = np.arange(40) % 2
    classifier = few().fit([Image.fromarray(pixels) for pixels in X], y)
    assert classifier.image_shape_ == (6, 5, 3)
    np.testing.assert_allclose(classifier.predict_proba(X), classifier.predict_proba(X.astype(np.float64)), atol=1e-6)
    resized = few(settings={"image_size": 12}).fit(X, y)
    assert resized.predict_proba(X).shape == (40, 2)


def test_values_outside_the_fitted_range_and_constant_rows_are_no_error() -> None:
    X = np.arange(80.0).reshape(20, 4)
    y = np.arange(20) % 2
    assert few().fit(X, y).predict_proba(1000 * X - 500).shape == (20, 2)
    assert few().fit(np.full((20, 4), 3.5), y).predict(X).shape == (20,)


def test_same_random_state_same_weights_none_another(digits: Arrays) -> None:
    X, y = digits[0][:100], digits[2][:100]
    first, again, other = (few(random_state=seed).fit(X, y).predict_proba(X) for seed in (3, 3, None))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_validation_fraction_holds_out_and_watches(digits: Arrays) -> None:
    X, y = digits[0][:200], digits[2][:200]
    plain, watched = few().fit(X, y), few(epochs=3, validation_fraction=0.2).fit(X, y)
    assert "val_loss" not in plain.run_.history[0] and plain.run_.history[0]["num_train_samples"] == 200
    assert watched.run_.history[0]["num_train_samples"] == 160
    assert watched.run_.metrics["val"]["num_samples"] == 40
    assert plain.run_.evaluate(data=(X, y))["metrics"]["accuracy"] == pytest.approx(plain.score(X, y))


def test_grid_search_over_lr_and_part_settings_in_two_processes(digits: Arrays) -> None:
    X, y = digits[0][:300], digits[2][:300]
    grid = {"lr": np.array([1e-6, 0.01]), "settings": [{"lr_scheduler": "cosine", "training": {"clip_norm": 1.0}}]}
    search = GridSearchCV(few(epochs=4), grid, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    assert search.best_params_["lr"] == 0.01
    assert search.best_estimator_.run_.recipe.lr_scheduler.name == "cosine"
    assert search.score(X, y) > 0.5


def test_pipelines_with_scaler_and_function(digits: Arrays) -> None:
    rows, y = digits[0][:300].reshape(300, 64), digits[2][:300]
    scaled = make_pipeline(StandardScaler(), few(epochs=4))
    assert cross_val_score(scaled, rows, y, cv=2, error_score="raise").min() > 0.5
    to_images = make_pipeline(FunctionTransformer(lambda X: X.reshape(-1, 8, 8)), few(epochs=4)).fit(rows, y)
    assert to_images[-1].image_shape_ == (8, 8, 1)
    assert to_images.score(rows, y) > 0.5


def test_pickle_and_copy_need_no_folder_and_hold_no_training_data(digits: Arrays) -> None:
    X, y = digits[0], digits[2]
    classifier = few(epochs=1).fit(X, y)
    wanted, history = classifier.predict_proba(X), classifier.run_.history
    shutil.rmtree(classifier.run_.path)
    np.testing.assert_array_equal(classifier.predict_proba(X), wanted)
    content = pickle.dumps(classifier)
    assert len(content) < 50_000 < X.nbytes
    for twin in (pickle.loads(content), copy.deepcopy(classifier)):
        np.testing.assert_array_equal(twin.predict_proba(X), wanted)
        assert twin.run_.history == history
        assert len(twin.run_.predict(X[:2])) == 2
    (parallel,) = Parallel(n_jobs=2)([delayed(classifier.predict_proba)(X)])
    np.testing.assert_allclose(parallel, wanted, atol=1e-6)


def test_temporary_folder_goes_with_the_run(digits: Arrays) -> None:
    classifier = few(epochs=1).fit(digits[0][:50], digits[2][:50])
    first = classifier.run_.path
    assert first.is_dir() and first.is_relative_to(tempfile.gettempdir())
    classifier.fit(digits[0][:50], digits[2][:50])
    assert not first.exists()
    second = classifier.run_.path
    del classifier
    assert not second.exists()


def test_out_keeps_the_run_and_is_never_overwritten(digits: Arrays, tmp_path: Path) -> None:
    X, y = digits[0][:50], digits[2][:50]
    classifier = few(epochs=1, out=tmp_path / "run").fit(X, y)
    assert nw.load(tmp_path / "run").predict(X[:1]) == classifier.run_.predict(X[:1])
    with pytest.raises(nw.InputError, match="exists already"):
        classifier.fit(X, y)


def test_clone_is_unfitted_with_equal_parameters(digits: Arrays) -> None:
    classifier = few(optimizer={"name": "sgd", "momentum": 0.9}).fit(digits[0][:50], digits[2][:50])
    sgd = classifier.run_.recipe.to_mapping()["optimizer"]
    assert (sgd["name"], sgd["momentum"], sgd["lr"]) == ("sgd", 0.9, 0.01)
    fresh = clone(classifier)
    assert fresh.get_params() == classifier.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(digits[0])


def test_nothing_is_printed(digits: Arrays, capfd: pytest.CaptureFixture[str]) -> None:
    few().fit(digits[0][:50], digits[2][:50]).predict(digits[1])
    assert capfd.readouterr() == ("", "")


def test_bad_input_is_named(digits: Arrays) -> None:
    X, y = digits[0][:50], digits[2][:50]
    with pytest.raises(ValueError, match="y has one class"):
        few().fit(X, np.zeros(50))
    with pytest.raises(ValueError, match="NaN"):
        few().fit(np.where(X > 15, np.nan, X), y)
    with pytest.raises(ValueError, match="image_shape is"):
        few(image_shape=(8, 9)).fit(X.reshape(50, 64), y)
    with pytest.raises(RecipeError, match="did you mean"):
        few(model="cn").fit(X, y)
    with pytest.raises(RecipeError, match="epochs"):
        few(epochs=0).fit(X, y)
    with pytest.raises(DataError, match="channels"):
        few().fit(np.zeros((50, 8, 8, 5)), y)
    classifier = few().fit(X, y)
    with pytest.raises(ValueError, match="images of shape"):
        classifier.predict(X.reshape(50, 4, 16))
    with pytest.raises(ValueError, match="expecting 64 features"):
        classifier.predict(X.reshape(50, 64)[:, :60])
