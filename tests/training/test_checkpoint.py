"""Checkpoints: all that changes comes back bit for bit, damage is noticed, nothing in them can run code."""

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from netwright.config.optimization import OPTIMIZERS, Optimizer
from netwright.errors import WeightsError
from netwright.files.sealed import read_sealed, write_sealed
from netwright.runs.checkpoints import has_checkpoint
from netwright.training.checkpoint import load_checkpoint, save_checkpoint
from netwright.training.optimizer import build_optimizer, choose_kernel
from netwright.training.state import Progress, Sums, TrainingState

NAMES = [name for name in OPTIMIZERS.parts if name != "custom"]
ARGUMENTS: dict[str, list[dict[str, object]]] = {
    "sgd": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}],
    "rmsprop": [{}, {"momentum": 0.9}],
    "adam": [{}, {"groups": [{"parameters": "*.bias", "lr": 0.1, "weight_decay": 0.1}]}],
    "muon": [{}, {"normalize_weights": True, "groups": [{"parameters": "1.*", "lr": 0.5}]}],
}
CPU = torch.device("cpu")
CASES = [(name, arguments) for name in NAMES for arguments in ARGUMENTS.get(name, [{}])]


def build_state(optimizer: Optimizer, seed: int, fused: bool = True) -> TrainingState:
    """A convolution, batch norm and a Linear in channels_last, as the loop has them."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    model = model.to(memory_format=torch.channels_last)
    kernel = choose_kernel(optimizer, CPU, "auto", exact=not fused)
    made = build_optimizer(optimizer, model.named_parameters(), kernel=kernel)
    return TrainingState(model, made, Sums(num_correct))


def num_correct(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs.argmax(dim=1) == targets).sum()


def train(state: TrainingState, steps: range) -> None:
    for step in steps:
        torch.manual_seed(step)
        images = torch.randn(6, 3, 8, 8).contiguous(memory_format=torch.channels_last)
        outputs, targets = state.model(images), torch.arange(6) % 3
        loss = nn.functional.cross_entropy(outputs, targets)
        loss.backward()
        state.sums.add(loss.item(), 6, outputs.detach(), targets)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.progress.step += 1


def equal(one: TrainingState, other: TrainingState) -> bool:
    sides = [side.model.state_dict() for side in (one, other)]
    return all(torch.equal(sides[0][name], sides[1][name]) for name in sides[0])


def adam() -> Optimizer:
    return OPTIMIZERS.convert({"name": "adam", "lr": 0.01}, "optimizer")  # type: ignore[return-value]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, TrainingState, TrainingState]:
    """A folder with the checkpoints after 2 (previous) and 4 steps (current), and the states that they hold."""
    state = build_state(adam(), 0)
    states = []
    for steps in (range(2), range(2, 4)):
        train(state, steps)
        state.history.append({"epoch": steps.stop, "val_loss": 0.1 + 0.2})
        save_checkpoint(tmp_path, state)
        states.append(copy.deepcopy(state))
    return tmp_path, states[0], states[1]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_training_goes_on_bit_for_bit(name: str, arguments: dict[str, object], fused: bool, tmp_path: Path) -> None:
    optimizer = OPTIMIZERS.convert({"name": name, "lr": 0.01, **arguments}, "optimizer")
    assert isinstance(optimizer, Optimizer)
    state = build_state(optimizer, 0, fused)
    train(state, range(3))
    save_checkpoint(tmp_path, state)
    train(state, range(3, 6))
    resumed = build_state(optimizer, 1, fused)
    assert not equal(state, resumed)
    assert load_checkpoint(tmp_path, resumed) == []
    train(resumed, range(3, 6))
    assert equal(state, resumed)
    assert state.sums.to_mapping() == resumed.sums.to_mapping()


def test_the_optimizers_state_is_laid_out_as_the_weights(saved: tuple[Path, TrainingState, TrainingState]) -> None:
    resumed = build_state(adam(), 1)
    load_checkpoint(saved[0], resumed)
    weight = resumed.model[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    assert resumed.optimizer.state[weight]["exp_avg"].stride() == weight.stride()


def test_all_that_changes_comes_back(tmp_path: Path) -> None:
    state = build_state(adam(), 0)
    train(state, range(2))
    state.keep_best()
    train(state, range(2, 3))
    state.progress = Progress(3, 7, 11, 1.5, 0.25, 2, [{"step": 5, "val_loss": 0.1}], "patience")
    state.history = [{"epoch": 1, "val_loss": 0.1 + 0.2, "val_accuracy": 1 / 3}]
    save_checkpoint(tmp_path, state)
    resumed = build_state(adam(), 1)
    load_checkpoint(tmp_path, resumed)
    assert resumed.progress == state.progress
    assert resumed.history == state.history
    assert all(torch.equal(resumed.best[name], value) for name, value in state.best.items())
    assert not all(torch.equal(resumed.best[name], value) for name, value in resumed.model.state_dict().items())


def test_weights_that_are_shared_are_saved_once_each(tmp_path: Path) -> None:
    def tied() -> TrainingState:
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return TrainingState(model, torch.optim.SGD(model.parameters(), 0.1), Sums(num_correct))

    state, resumed = tied(), tied()
    save_checkpoint(tmp_path, state)
    load_checkpoint(tmp_path, resumed)
    assert equal(state, resumed)
    assert resumed.model[1].weight is resumed.model[0].weight


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = [flip_bit, truncate, empty, Path.unlink]
FILES = ["tensors.safetensors", "state.json", "manifest.json"]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    name: str, damage: Callable[[Path], None], saved: tuple[Path, TrainingState, TrainingState]
) -> None:
    folder, before, _ = saved
    damage(folder / "current" / name)
    resumed = build_state(adam(), 1)
    (notice,) = load_checkpoint(folder, resumed)
    assert str(folder / "current") in notice
    assert equal(before, resumed)
    assert resumed.progress.step == 2
    assert len(resumed.history) == 1


def test_both_damaged_is_bad_input(saved: tuple[Path, TrainingState, TrainingState]) -> None:
    folder = saved[0]
    flip_bit(folder / "current" / "tensors.safetensors")
    truncate(folder / "previous" / "state.json")
    assert has_checkpoint(folder)
    with pytest.raises(WeightsError, match=r"no checkpoint in .* is whole.*train again") as caught:
        load_checkpoint(folder, build_state(adam(), 1))
    assert caught.value.exit_code == 2
    assert "does not match its checksum" in str(caught.value)


def test_a_checkpoint_of_another_network_is_refused(saved: tuple[Path, TrainingState, TrainingState]) -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    other = TrainingState(model, torch.optim.SGD(model.parameters(), 0.1), Sums(num_correct))
    with pytest.raises(WeightsError, match=r"another network: 1\.bias differs"):
        load_checkpoint(saved[0], other)


def test_a_checkpoint_of_a_newer_format_is_refused(saved: tuple[Path, TrainingState, TrainingState]) -> None:
    """And not taken for a damaged one, which would fall back to an older state in silence."""
    path = saved[0] / "current" / "manifest.json"
    write_sealed(path, read_sealed(path) | {"format": 2})
    with pytest.raises(WeightsError, match="has format 2, and this version reads 1"):
        load_checkpoint(saved[0], build_state(adam(), 1))


def test_a_checkpoint_is_safetensors_and_json_only(saved: tuple[Path, TrainingState, TrainingState]) -> None:
    """Another reader finds the numbers: NumPy's, without torch."""
    folder, _, after = saved
    assert sorted(path.name for path in folder.iterdir()) == ["current", "previous"]
    assert sorted(path.name for path in (folder / "current").iterdir()) == sorted(FILES)
    tensors = load_file(folder / "current" / "tensors.safetensors")
    assert np.array_equal(tensors["model/0.weight"], after.model[0].weight.detach().numpy())
    numbers = json.loads((folder / "current" / "state.json").read_text())
    assert numbers["history"] == after.history
    assert numbers["progress"]["step"] == 4


def test_no_checkpoint_is_said(tmp_path: Path) -> None:
    assert not has_checkpoint(tmp_path)
    assert not has_checkpoint(tmp_path / "nowhere")
    with pytest.raises(WeightsError):
        load_checkpoint(tmp_path, build_state(adam(), 0))
