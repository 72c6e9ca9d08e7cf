"""What is printed while a run trains."""

import re

import pytest

from netwright.workflows.console import Console


def lines_of(capsys: pytest.CaptureFixture[str], epochs: int, seconds: float) -> list[int]:
    """Return the epochs whose lines were printed."""
    console = Console()
    for epoch in range(1, epochs + 1):
        numbers = {"train_loss": 0.5, "train_accuracy": 0.5, "lr": 0.01, "train_seconds": seconds}
        console.epoch({"epoch": epoch, **numbers}, epochs, best=False)
    return [int(found) for found in re.findall(r"^ *(\d+)/", capsys.readouterr().out, flags=re.MULTILINE)]


def test_of_a_thousand_short_epochs_every_tenth_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, 1000, 0.003) == [1, *range(10, 1001, 10)]
    assert lines_of(capsys, 230, 0.003) == [1, *range(3, 230, 3), 230]


def test_of_long_epochs_and_of_few_all_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, 1000, 0.6) == list(range(1, 1001))
    assert lines_of(capsys, 100, 0.003) == list(range(1, 101))
