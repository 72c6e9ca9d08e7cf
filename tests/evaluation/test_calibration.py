"""Temperature and calibration errors against SciPy's minimiser, scikit-learn and plain formulas."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import brier_score_loss, log_loss

from netwright.evaluation.calibration import calibration, cross_fitted, fit_temperature
from netwright.tasks.temperature import tempered

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def made(num_samples: int, num_classes: int, sharpness: float, seed: int = 0) -> tuple[Floats, Ints]:
    """Return log-probabilities (N, K) that are `sharpness` times too sure, and targets drawn from the true ones."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(num_samples, num_classes))
    truth = np.exp(log_softmax(logits, axis=1))
    targets = (truth.cumsum(axis=1) < random.random((num_samples, 1))).sum(axis=1)
    return log_softmax(sharpness * logits, axis=1), np.minimum(targets, num_classes - 1)


@pytest.mark.parametrize("num_classes", [2, 10])
@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_is_the_one_of_least_log_loss(sharpness: float, num_classes: int) -> None:
    scores, targets = made(2000, num_classes, sharpness)
    found = fit_temperature(scores, targets)
    reference = minimize_scalar(
        lambda t: log_loss(targets, np.exp(log_softmax(scores / t, axis=1)), labels=range(num_classes)),
        bounds=(0.05, 20), method="bounded", options={"xatol": 1e-7},
    ).x  # fmt: skip
    assert found == pytest.approx(reference, rel=1e-4)
    assert found == pytest.approx(sharpness, rel=0.15)  # it undoes what was done


def test_what_cannot_be_told_has_no_temperature() -> None:
    scores, _ = made(50, 3, 1.0)
    assert fit_temperature(scores, scores.argmax(axis=1)) is None
    assert fit_temperature(scores[:0], np.zeros(0, np.int64)) is None


def test_worse_than_chance_and_impossible_answers_end_at_a_bound() -> None:
    scores, _ = made(50, 3, 1.0)
    assert fit_temperature(scores, scores.argmin(axis=1)) == pytest.approx(20, rel=1e-3)
    certain = np.array([[0.0, -np.inf], [0.0, -np.inf], [-np.inf, 0.0]])
    found = fit_temperature(certain, np.array([0, 1, 1]))
    assert found is not None and 20 >= found > 1


def test_top_1_never_changes() -> None:
    random = np.random.default_rng(0)
    scores = np.log(random.dirichlet(np.ones(4), 5000)).astype(np.float32)
    scores[:, 1] = np.nextafter(scores[:, 0], np.float32(0))  # as close as float32 allows
    for temperature in (0.05, 0.7, 3.0, 20.0):
        assert (np.exp(tempered(scores, temperature)).argmax(axis=1) == scores.argmax(axis=1)).all()
        assert np.allclose(np.exp(tempered(scores, temperature)).sum(axis=1), 1)


def plain_ece(probabilities: Floats, targets: Ints, num_bins: int = 15) -> float:
    """Guo et al. (2017), equation 3, in a loop."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    total = 0.0
    for number in range(num_bins):
        inside = (confidence > number / num_bins) & (confidence <= (number + 1) / num_bins)
        if inside.any():
            total += inside.sum() / len(targets) * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("num_classes", [2, 7])
def test_equals_the_plain_formulas(num_classes: int) -> None:
    scores, targets = made(1500, num_classes, 2.0)
    found = calibration(scores, targets)
    probabilities = np.exp(scores)
    assert found["ece"] == pytest.approx(plain_ece(probabilities, targets))
    assert found["log_loss"] == pytest.approx(log_loss(targets, probabilities))
    one_hot = targets[:, None] == np.arange(num_classes)
    assert found["brier"] == pytest.approx(((probabilities - one_hot) ** 2).sum(axis=1).mean())
    if num_classes == 2:  # scikit-learn's is of one class: half of the sum over both
        assert found["brier"] == pytest.approx(2 * brier_score_loss(targets, probabilities[:, 1]))
    for name, (low, high) in found["intervals"].items():
        assert low < found[name] < high or name == "ece"
    assert sum(each["num_samples"] for each in found["bins"]) == 1500
    for each in found["bins"]:
        assert each["low"] < each["confidence"] <= each["high"]


def test_temperature_lowers_the_error_of_an_overconfident_network() -> None:
    scores, targets = made(3000, 10, 3.0)
    before, after = calibration(scores, targets), calibration(cross_fitted(scores, targets), targets)
    assert after["ece"] < 0.5 * before["ece"]
    assert after["log_loss"] < before["log_loss"]


def test_cross_fitting_never_uses_an_image_on_itself() -> None:
    scores, targets = made(100, 3, 2.0)
    fitted = cross_fitted(scores, targets)
    changed = targets.copy()
    changed[7] = (changed[7] + 1) % 3
    fold = np.arange(100) % 5 == 7 % 5
    assert np.array_equal(cross_fitted(scores, changed)[fold], fitted[fold])
    assert not np.array_equal(cross_fitted(scores, changed)[~fold], fitted[~fold])
