"""One small run on scikit-learn's digits, shared by the tests, that none of them changes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import netwright as nw
from netwright.workflows import evaluate, results

SETTINGS = {"model": "mlp", "epochs": 2, "lr": 0.003, "runtime": {"threads": 1, "device": "cpu"}, "quiet": True}


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
def no_plots() -> Iterator[None]:
    """Leave out the plots, which take 1.2 of a small run's 1.5 seconds and have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "draw_plots", lambda *arguments: None)
        patch.setattr(evaluate, "plot_confusion", lambda *arguments, **named: None)
        yield
