"""One small run on scikit-learn's digits and the digits themselves, shared by the tests, that none of them changes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import netwright as nw

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def digits() -> Arrays:
    """All digits as uint8 (1797, 8, 8) and their targets, read without us."""
    found = load_digits()
    return np.asarray(np.rint(found.images * 255 / 16), dtype=np.uint8), found.target.astype(np.int64)


@pytest.fixture(scope="session")
def two_digits(digits: Arrays) -> Arrays:
    """The zeros and ones among them (360, 8, 8)."""
    kept = digits[1] < 2
    return digits[0][kept], digits[1][kept]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> nw.Run:
    """A finished run of three epochs; read only."""
    out = tmp_path_factory.mktemp("trained") / "run"
    runtime = {"threads": 1, "device": "cpu", "precision": "fp32"}
    return nw.train("digits", model="mlp", epochs=3, lr=0.003, out=out, quiet=True, runtime=runtime)


@pytest.fixture
def copied(trained: nw.Run, tmp_path: Path) -> nw.Run:
    """A copy of that run, to be changed."""
    return nw.load(shutil.copytree(trained.path, tmp_path / "copied"))


@pytest.fixture(scope="module", autouse=True)
def without_plots(no_plots: None) -> None:
    """Run this room's tests without plots."""
