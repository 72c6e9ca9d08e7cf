"""A loss or gradient that is NaN or infinite: the run stops at that step and says where, or leaves the update out."""

import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

import netwright as nw
from netwright.errors import WorkFailed
from netwright.files.sealed import read_sealed
from netwright.runs.checkpoints import has_checkpoint
from netwright.training.not_finite import NotFinite, are_finite, check_gradient
from netwright.workflows.sitting import Watcher

RUNTIME = {"threads": 1, "device": "cpu"}
TRAINING: dict[str, Any] = {"epochs": 2, "batch_size": 150, "checkpoint_seconds": 0}  # 1,257 images: 9 batches


@pytest.fixture(scope="module", autouse=True)
def without_plots(no_plots: None) -> None:
    """Run without plots."""


class Poison:
    """A criterion that multiplies the loss, or its gradient, of every training batch that begins with a 7."""

    def __init__(self, loss: float = 1.0, gradient: float = 1.0) -> None:
        self.loss, self.gradient = loss, gradient

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(outputs, targets)
        if torch.is_grad_enabled() and targets[0] == 7:
            outputs.register_hook(lambda gradient: gradient * self.gradient)
            return loss * self.loss
        return loss


def train(
    out: Path,
    criterion: Any,
    on_nan: str = "stop",
    model: Any = "linear",
    lr_scheduler: Any = "constant",
    **training: Any,
) -> nw.Run:
    settings = TRAINING | {"on_nan": on_nan} | training
    optimizer = {"name": "sgd", "lr": 0.1}
    return nw.train(
        "digits", out=out, criterion=criterion, model=model, optimizer=optimizer, training=settings, runtime=RUNTIME,
        quiet=True, lr_scheduler=lr_scheduler,
    )  # fmt: skip


def weights(run: nw.Run) -> dict[str, np.ndarray]:
    return load_file(run.path / "bundle" / "model.safetensors")


@pytest.mark.parametrize(
    ("poison", "what"),
    [
        (Poison(loss=math.nan), "the loss is nan"),
        (Poison(loss=math.inf), "the loss is inf"),
        (Poison(gradient=math.nan), "the gradient is nan"),
        (Poison(gradient=math.inf), "the gradient is"),
    ],
)
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_it_stops_at_that_step_and_says_where(
    poison: Poison, what: str, clip_norm: float | None, tmp_path: Path
) -> None:
    with pytest.raises(WorkFailed, match=what) as caught:
        train(tmp_path / "run", poison, clip_norm=clip_norm)
    assert caught.value.exit_code == 6
    found = read_sealed(tmp_path / "run" / "not_finite.json")
    assert f"epoch {found['epoch']}, batch {found['batch']} (step {found['step']}), at lr 0.1" in str(caught.value)
    assert found["step"] == found["batch"] + 9 * (found["epoch"] - 1)
    assert len(found["images"]) in (150, 57)
    assert read_sealed(tmp_path / "run" / "state.json")["state"] == "failed"
    if found["step"] > 1:  # what was saved before is whole and finite
        assert has_checkpoint(tmp_path / "run" / "checkpoints")
        kept = load_file(tmp_path / "run" / "checkpoints" / "current" / "tensors.safetensors")
        assert all(np.isfinite(value).all() for value in kept.values())


@pytest.mark.parametrize("checkpoint_seconds", [0, 300])
def test_numbers_that_are_read_later_name_the_step_where_they_were_made(
    checkpoint_seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, whose losses are read every 50 steps: the same step, batch, lr and images as when each is read."""
    poison, schedule = Poison(loss=math.nan), {"name": "cosine", "warmup_steps": 0}
    found = []
    for name, reads in (("at once", True), ("later", False)):
        monkeypatch.setattr("netwright.training.not_finite.reads_every_step", lambda plan, reads=reads: reads)
        with pytest.raises(WorkFailed, match="the loss is nan in epoch"):
            train(
                tmp_path / name, poison, checkpoint_seconds=checkpoint_seconds, epochs=20, lr_scheduler=schedule, seed=3
            )
        found.append(read_sealed(tmp_path / name / "not_finite.json"))
    assert found[0].pop("layer") == "the loss of outputs that are finite"
    assert "later" in found[1].pop("layer")
    assert found[0] == found[1]
    assert found[0]["step"] > 1, "another seed, so that there is a step before it"


def test_a_bounded_gradient_that_is_read_later_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.training.not_finite.reads_every_step", lambda plan: False)
    with pytest.raises(WorkFailed, match="the gradient is nan in epoch"):
        train(tmp_path / "run", Poison(gradient=math.nan), clip_norm=1.0)


class Root(nn.Module):
    """The square root: NaN below 0, an infinite gradient at 0."""

    def forward(self, features: Tensor) -> Tensor:
        return features.sqrt()


class Times(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, features: Tensor) -> Tensor:
        return features * self.by


@pytest.mark.parametrize(
    ("by", "layer"), [(-1.0, "the output of 4 (Root)"), (0.0, "the gradient at the output of 3 (Times)")]
)
def test_the_first_layer_is_named(by: float, layer: str, tmp_path: Path) -> None:
    """The root of minus one is NaN, and that of zero has an infinite gradient."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Sigmoid(), Times(by), Root(), nn.Linear(16, 10))
    with pytest.raises(WorkFailed) as caught:
        train(tmp_path / "run", None, model=network)
    assert f"first not finite: {layer}" in str(caught.value)


def test_images_that_are_not_finite_are_named(tmp_path: Path) -> None:
    class Own(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 60

        def __getitem__(self, row: int) -> Any:
            return torch.full((1, 4, 4), math.nan if row == 41 else 0.5), row % 2

    with pytest.raises((WorkFailed, nw.InputError)):
        nw.train(Own(), out=tmp_path / "run", model="linear", epochs=1, quiet=True, runtime=RUNTIME)


@pytest.mark.parametrize("poison", [{"loss": math.nan}, {"gradient": math.inf}])
def test_a_left_out_update_changes_nothing(poison: dict[str, float], tmp_path: Path) -> None:
    """Plain SGD by a gradient of zeros is no update either: the same weights."""
    skipped = train(tmp_path / "skipped", Poison(**poison), "skip")
    plain = train(tmp_path / "zeros", Poison(**dict.fromkeys(poison, 0.0)))
    assert plain.history[-1]["step"] == 18
    left_out = sum(record.get("skipped_updates", 0) for record in skipped.history)
    assert left_out > 0
    assert skipped.history[-1]["step"] == 18 - left_out
    for name, value in weights(plain).items():
        assert np.array_equal(value, weights(skipped)[name])


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_running_statistics_forget_what_was_left_out(accumulation_steps: int, tmp_path: Path) -> None:
    class Blind(nn.Module):
        """Makes images NaN that begin a batch and are brighter than most."""

        def forward(self, images: Tensor) -> Tensor:
            return images * math.nan if self.training and images[0].sum() > 0 else images

    network = nn.Sequential(Blind(), nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))
    run = train(tmp_path / "run", None, "skip", network, batch_size=40, accumulation_steps=accumulation_steps)
    assert any("skipped_updates" in record for record in run.history)
    assert all(np.isfinite(value).all() for value in weights(run).values())


def test_nothing_but_left_out_is_no_training(tmp_path: Path) -> None:
    def always(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets) * (math.nan if torch.is_grad_enabled() else 1)

    with pytest.raises(WorkFailed, match="all updates of epoch 1 were left out"):
        train(tmp_path / "few", always, "skip")
    with pytest.raises(WorkFailed, match="20 updates in a row"):
        train(tmp_path / "many", always, "skip", batch_size=10)


def test_left_out_updates_survive_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison = Poison(loss=math.nan)
    whole = train(tmp_path / "whole", poison, "skip", batch_size=30, accumulation_steps=2)
    plain, seen = Watcher.step, [0]

    def step(self: Watcher, done: int, total: int, num_samples: int) -> None:
        plain(self, done, total, num_samples)
        seen[0] += 1
        if seen[0] % 13 == 0:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Watcher, "step", step)
    run = train(tmp_path / "broken", poison, "skip", batch_size=30, accumulation_steps=2)
    while run.interrupted:
        run = nw.resume(run.path, quiet=True, criterion=poison)
    assert weights(run).keys() == weights(whole).keys()
    for name, value in weights(whole).items():
        assert np.array_equal(value, weights(run)[name])
    assert [r.get("skipped_updates") for r in run.history] == [r.get("skipped_updates") for r in whole.history]
    assert [record["train_loss"] for record in run.history] == [record["train_loss"] for record in whole.history]


def test_large_finite_values_are_finite() -> None:
    assert are_finite([torch.full((4,), 3e38), torch.zeros(2)])
    assert not are_finite([torch.zeros(2), torch.tensor([math.inf, -math.inf])])
    assert are_finite([])


def test_a_norm_that_overflows_is_no_gradient_that_is_not_finite() -> None:
    """The squares of 1e30 are infinite in fp32, the values are not."""
    gradients = [torch.full((4,), 1e30), torch.zeros(2)]
    norm = nn.utils.get_total_norm(gradients)
    assert norm.isinf()
    check_gradient(gradients, norm)
    gradients[1][0] = math.nan
    with pytest.raises(NotFinite, match="the gradient is nan"):
        check_gradient(gradients, nn.utils.get_total_norm(gradients))
