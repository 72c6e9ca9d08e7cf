"""`netwright lr-find` and `nw.find_lr`: what they print and keep, and that their rate trains."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import netwright as nw
from netwright.cli.lr_find import train_command
from netwright.cli.main import run

QUICK = {"model": "linear", "threads": 1, "quiet": True}


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)

    def call(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run(["lr-find", *words]) == code
        shown = capsys.readouterr()
        return shown.out if not code else shown.err

    return call


def test_it_prints_a_suggestion_and_how_to_use_it_and_leaves_nothing(say: Callable[..., str], tmp_path: Path) -> None:
    text = say("digits", "--model", "linear", "--optimizer", "sgd", "--threads", "1", "--steps", "40")
    assert "where the loss falls fastest" in text
    assert "val and test were not looked at" in text
    assert text.splitlines()[-1].startswith(
        "next: netwright train digits --model linear --optimizer sgd --threads 1 --lr"
    )
    assert not list(tmp_path.iterdir())


def test_json_and_plot(say: Callable[..., str], tmp_path: Path) -> None:
    words = ["--model", "linear", "--threads", "1", "--steps", "60", "--to", "1e4", "--set", "training.batch_size=20"]
    found = json.loads(say(*words, "--plot", "out/lr.png", "--json"))
    assert found["lrs"][0] == 1e-7
    assert found["diverged"]
    assert len(found["lrs"]) == len(found["losses"]) == len(found["smoothed"]) < 60
    assert set(found["suggestions"]) == {"steepest", "tenth", "valley"}
    assert found["suggestion"] == found["suggestions"]["steepest"]
    assert found["command"].endswith("--set training.batch_size=20")
    assert (tmp_path / "out" / "lr.png").read_bytes().startswith(b"\x89PNG")


def test_bad_ranges_are_refused(say: Callable[..., str]) -> None:
    assert "expected 0 < lowest < highest" in say("--from", "1", "--to", "0.1", code=2)
    assert "expected 10 or more" in say("--steps", "3", code=2)


def test_a_loss_that_never_falls_is_said(say: Callable[..., str]) -> None:
    words = ["--model", "linear", "--threads", "1", "--from", "1e-30", "--to", "1e-29", "--steps", "10"]
    assert "made the loss fall" in say(*words, "--set", "training.batch_size=1257", code=6)


def test_fast_is_written_out_in_the_command() -> None:
    found = {"suggestion": 0.01, "batch_size": 512, "lr_scheduler": "one_cycle"}
    given = {"fast": True, "lr": "3", "exact": False, "epochs": "2"}
    line = train_command("a b", given, ["optimizer.lr=2", "training.patience=1"], found)
    assert line == (
        "netwright train 'a b' --no-exact --epochs 2 --batch-size 512 --lr-scheduler one_cycle --no-fast --lr 0.01 "
        "--set training.patience=1"
    )


def test_own_objects_are_left_as_they_were() -> None:
    random = np.random.default_rng(0)
    targets = np.arange(240) % 2
    images = (random.integers(0, 156, (240, 8, 8)) + 100 * targets[:, None, None]).astype(np.uint8)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found: dict[str, Any] = nw.find_lr(
        (images, targets),
        model=network,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        augmentation=["horizontal_flip", "mixup"],
        batch_size=16,
        lowest=1e-4,
        num_steps=40,
        threads=1,
        quiet=True,
    )
    assert found["lr"] is None
    assert found["suggestion"] > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_the_suggestion_trains_better_than_a_tenth_and_a_hundredth_of_it(
    optimizer: str, tmp_path: Path, no_plots: None
) -> None:
    found = nw.find_lr("digits", optimizer=optimizer, **QUICK)
    losses = [
        nw.train("digits", optimizer=optimizer, lr=lr, epochs=2, out=tmp_path / f"{lr:g}", **QUICK).history[-1][
            "val_loss"
        ]
        for lr in (found["suggestion"], found["suggestion"] / 10, found["suggestion"] / 100)
    ]
    assert losses == sorted(losses)
