"""One small run on scikit-learn's digits, shared by the tests, that none of them changes."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import netwright as nw

SETTINGS = {
    "model": "mlp",
    "epochs": 2,
    "lr": 0.003,
    "runtime": {"threads": 1, "device": "cpu", "precision": "fp32"},
    "quiet": True,
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> nw.Run:
    """A finished run; read only."""
    return nw.train("digits", out=tmp_path_factory.mktemp("trained") / "run", **SETTINGS)


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """The first 40 digits as uint8 (40, 8, 8), read without us."""
    return np.asarray(np.rint(load_digits().images[:40] * 255 / 16), dtype=np.uint8)


@pytest.fixture
def copied(trained: nw.Run, tmp_path: Path) -> Path:
    """A copy of the run's folder, to be damaged."""
    import shutil

    return Path(shutil.copytree(trained.path, tmp_path / "copied"))


@pytest.fixture(scope="module", autouse=True)
def without_plots(no_plots: None) -> None:
    """Run this room's tests without plots."""
