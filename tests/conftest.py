"""What every test has: its own folders for cache and state, at most two threads, no leaks, the real data if any."""

import gzip
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).parent.parent
DEFAULT_DATA = ROOT.parent / "shared" / "data"
MOST_THREADS = 2
# by pytest for every test; by scikit-learn, torch and tensorboardX when they are first imported
SET_BY_LIBRARIES = ("PYTEST_CURRENT_TEST", "KMP_", "TORCHINDUCTOR_", "CRC32C_SW_MODE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", metavar="DIR", default=None, help="folder of the real data sets that some tests need")


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(min(MOST_THREADS, torch.get_num_threads()))
    # no deadlines: no test asserts times; the same examples on every CI run, new ones on a developer's machine
    settings.register_profile("netwright", deadline=None, derandomize="CI" in os.environ)
    settings.load_profile("netwright")


@pytest.fixture(scope="session")
def data_dir(request: pytest.FixtureRequest) -> Path:
    """The folder with the real data sets (MNIST/, cifar10-packed/, hymenoptera/, tabular/, weights/), read only."""
    given = request.config.getoption("--data")
    folder = Path(given).expanduser().resolve() if given else DEFAULT_DATA
    if not folder.is_dir():
        pytest.skip(f"needs the real data sets, and {folder} is not a folder; say where they are with --data DIR")
    return folder


@pytest.fixture(scope="session")
def cifar10_npz(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of CIFAR-10 as an .npz: x_train (50000, 32, 32, 3) uint8, y_train, x_test, y_test, classes (6 s)."""
    program = _needed(data_dir / "unpack-cifar10")
    target = tmp_path_factory.mktemp("cifar10") / "cifar10.npz"
    done = subprocess.run([sys.executable, program, target], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="session")
def mnist_arrays(data_dir: Path) -> dict[str, np.ndarray]:
    """MNIST read without us: x_train (60000, 28, 28) uint8, y_train (60000,) int64, x_test, y_test."""
    raw = data_dir / "MNIST" / "raw"
    arrays = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = gzip.decompress(_needed(raw / f"{prefix}-images-idx3-ubyte.gz").read_bytes())
        targets = gzip.decompress(_needed(raw / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())
        arrays[f"x_{split}"] = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
        arrays[f"y_{split}"] = np.frombuffer(targets, np.uint8, offset=8).astype(np.int64)
    return arrays


def _needed(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"needs {path}, which is not there; say where the real data sets are with --data DIR")
    return path


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's cache and state folders (platformdirs reads these variables)."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture(autouse=True)
def own_state(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each test a state folder of its own, so that no test sees another's looks at the test split."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def no_leaks(own_state: None) -> Iterator[None]:
    """Fail a test that leaves the process other than it found it, and put it right for the next one."""
    before, environment = _torch_settings(), dict(os.environ)
    yield
    after, left = _torch_settings(), dict(os.environ)
    for variables in (environment, left):
        for name in [name for name in variables if name.startswith(SET_BY_LIBRARIES)]:
            del variables[name]
    changed = sorted(name for name in {*environment, *left} if environment.get(name) != left.get(name))
    for name in changed:
        os.environ.pop(name, None)
        if name in environment:
            os.environ[name] = environment[name]
    _restore(before)
    assert not changed, f"the test left environment variables changed: {changed}"
    assert after == before, f"the test left torch's settings changed: {after}, before: {before}"


def _torch_settings() -> dict[str, object]:
    return {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "dtype": torch.get_default_dtype(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "matmul": torch.get_float32_matmul_precision(),
        "grad": torch.is_grad_enabled(),
    }


def _restore(before: dict[str, object]) -> None:
    torch.set_num_threads(before["threads"])
    torch.use_deterministic_algorithms(before["deterministic"], warn_only=before["warn_only"])
    torch.utils.deterministic.fill_uninitialized_memory = before["fill"]
    torch.set_default_dtype(before["dtype"])
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before["cudnn"]
    torch.set_float32_matmul_precision(before["matmul"])
    torch.set_grad_enabled(before["grad"])


@pytest.fixture(scope="module")
def no_plots() -> Iterator[None]:
    """Leave out the plots, which take 1.2 of a small run's 1.5 seconds and have tests of their own."""
    for name in ("augmented", "explore"):  # imported first in here, they would keep what takes the plots' place
        importlib.import_module(f"netwright.workflows.{name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("netwright.workflows.results.draw_plots", lambda *arguments: None)
        patch.setattr("netwright.workflows.report.report_at_the_end", lambda *arguments: None)
        names = {"confusion": "plot_confusion", "reliability": "plot_reliability"}
        names |= {"examples": "plot_examples", "shifts": "plot_shifts"}
        for room, name in names.items():
            patch.setattr(f"netwright.report.{room}.{name}", lambda *arguments, **named: None)
        yield
