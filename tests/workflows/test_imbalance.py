"""Classes of unequal size: what is said of them, and that balancing finds the small one."""

from pathlib import Path

import numpy as np
import pytest

import netwright as nw
from netwright.cli.main import run


@pytest.fixture
def rare(tmp_path: Path) -> Path:
    """800 noisy gray images of two classes that overlap, one of them 1 in 10, as an .npz."""
    random = np.random.default_rng(0)
    targets = (np.arange(800) % 10 == 0).astype(np.int64)
    images = random.normal(100, 30, (800, 6, 6)) + 8 * targets[:, None, None]
    path = tmp_path / "rare.npz"
    np.savez(path, images=images.clip(0, 255).astype(np.uint8), labels=targets, classes=np.array(["many", "few"]))
    return path


def test_the_imbalance_is_told_with_what_helps(rare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", str(rare)]) == 0
    text = capsys.readouterr().out
    assert "imbalance: 'many'" in text
    assert "--sampling balanced or --class-weights balanced" in text


@pytest.mark.parametrize("option", [{"sampling": "balanced"}, {"class_weights": "balanced"}])
def test_balancing_finds_the_rare_class(
    option: dict[str, str], rare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_plots: None
) -> None:
    settings = {"model": "linear", "optimizer": "adam", "lr": 0.01, "epochs": 15, "threads": 1}
    plain = nw.train(rare, out=tmp_path / "plain", quiet=True, **settings)
    capsys.readouterr()
    balanced = nw.train(rare, out=tmp_path / "balanced", **settings, **option)
    assert "as if they were equally frequent" in capsys.readouterr().out
    found = [each.metrics["val"]["balanced_accuracy"] for each in (plain, balanced)]
    assert found[1] > found[0] + 0.05
