"""Saving in the background: the state of one moment, one save at a time, what goes wrong is raised in the training."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from torch import nn

from netwright.config.recipe import Recipe
from netwright.errors import MachineError
from netwright.files.hashing import sha256_file
from netwright.runs.checkpoints import kept
from netwright.training import checkpoint, tensor_file
from netwright.training.checkpoint import load_checkpoint
from netwright.training.clock import Clock
from netwright.training.saver import Saver
from netwright.training.state import Sums, TrainingState
from netwright.training.tensor_file import DTYPES, write_tensors


def made() -> TrainingState:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    return TrainingState(model, optimizer, Sums(lambda outputs, targets: (outputs == targets).sum()))


def fill(state: TrainingState, value: float) -> None:
    with torch.no_grad():
        for tensor in state.model.state_dict().values():
            tensor.fill_(value)
    state.progress.step = int(value)


def stood(folder: Path) -> tuple[int, float]:
    """Return step and weights of the newest whole checkpoint, which must be of one moment."""
    state = made()
    load_checkpoint(folder, state)
    (value,) = {float(tensor.max()) for tensor in state.model.state_dict().values()}
    return state.progress.step, value


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold every save at its first tensor until the event is set."""
    opened, plain = threading.Event(), checkpoint.write_tensors

    def held(*arguments: Any, **named: Any) -> str:
        assert opened.wait(60)
        return plain(*arguments, **named)

    monkeypatch.setattr(checkpoint, "write_tensors", held)
    yield opened
    opened.set()


def test_what_is_saved_is_of_the_moment_of_saving(tmp_path: Path, gate: threading.Event) -> None:
    state, saver = made(), Saver(tmp_path)
    fill(state, 1)
    saver.save(state, Recipe())
    assert saver.busy
    fill(state, 2)  # the training goes on
    state.history.append({"epoch": 1})
    gate.set()
    saver.wait()
    assert not saver.busy
    assert stood(tmp_path) == (1, 1)
    assert kept(tmp_path)["epochs"] == 0
    assert kept(tmp_path)["recipe"]["model"]["name"] == "cnn"
    assert threading.active_count() == 1 or "netwright-checkpoint" not in {t.name for t in threading.enumerate()}


def test_the_next_save_waits_for_the_one_before(tmp_path: Path) -> None:
    state, saver = made(), Saver(tmp_path)
    for value in range(1, 6):
        fill(state, value)
        saver.save(state, Recipe())
    saver.wait()
    assert stood(tmp_path) == (5, 5)
    checkpoint.shutil.rmtree(tmp_path / "current")
    assert stood(tmp_path) == (4, 4)


def test_a_full_disk_is_raised_and_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, saver = made(), Saver(tmp_path)
    fill(state, 1)
    saver.save(state, Recipe())
    saver.wait()
    plain = os.fsync

    def full(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith("tensors.safetensors"):
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(handle)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", full)
    fill(state, 2)
    saver.save(state, Recipe())
    with pytest.raises(MachineError, match=r"the disk is full: .* needs \d+ bytes"):
        saver.wait()
    saver.check()  # once
    assert [path.name for path in tmp_path.iterdir()] == ["current"]
    assert stood(tmp_path) == (1, 1)


def test_what_does_not_read_back_never_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, saver = made(), Saver(tmp_path)
    fill(state, 1)
    saver.save(state, Recipe())
    saver.wait()
    plain = checkpoint.write_tensors

    def failing_disk(path: Path, *others: Any) -> str:
        digest = plain(path, *others)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        return digest

    monkeypatch.setattr(checkpoint, "write_tensors", failing_disk)
    fill(state, 2)
    saver.save(state, Recipe())
    with pytest.raises(MachineError, match="the disk is failing"):
        saver.wait()
    assert stood(tmp_path) == (1, 1)
    assert not (tmp_path / "new").exists()


def test_an_abandoned_save_leaves_the_old_one(
    tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.set()
    state, saver = made(), Saver(tmp_path)
    fill(state, 1)
    saver.save(state, Recipe())
    saver.wait()
    gate.clear()
    fill(state, 2)
    saver.save(state, Recipe())
    threading.Timer(0.05, gate.set).start()
    saver.abandon()
    saver.check()
    assert not saver.busy
    assert not (tmp_path / "new").exists()
    assert stood(tmp_path) == (1, 1)


def test_the_library_reads_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_file, "_PIECE", 7)
    torch.manual_seed(0)
    tensors = {f"of {dtype}": torch.randn(3, 5).abs().to(dtype) for dtype in DTYPES if "float8" not in str(dtype)}
    tensors |= {"number": torch.tensor(3), "none": torch.zeros(0, 4), 'ü"\\': torch.arange(3)}
    tensors["channels last"] = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    digest = write_tensors(tmp_path / "t.safetensors", tensors)
    assert digest == sha256_file(tmp_path / "t.safetensors")
    read = load_torch(tmp_path / "t.safetensors")
    assert read.keys() == tensors.keys()
    for name, value in tensors.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value)
    plain = {name: value for name, value in tensors.items() if value.dtype != torch.bfloat16}
    del tensors["of torch.bfloat16"]
    write_tensors(tmp_path / "n.safetensors", plain)
    for name, array in load_file(tmp_path / "n.safetensors").items():
        assert np.array_equal(array, plain[name].numpy())


def test_what_a_save_costs_is_known(tmp_path: Path) -> None:
    saver = Saver(tmp_path)
    assert saver.seconds == 0.0
    saver.save(made(), Recipe())
    saver.wait()
    assert saver.seconds > 0.0


@pytest.mark.parametrize(("cost", "waits"), [(0.0, 10.0), (0.05, 10.0), (0.5, 100.0), (60.0, 300.0)])
def test_an_epochs_end_waits_longer_where_a_save_costs_more(
    cost: float, waits: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 1 % of the time goes into checkpoints, and none is later than `checkpoint_seconds` (300)."""
    now = [0.0]
    monkeypatch.setattr("netwright.training.clock.perf_counter", lambda: now[0])
    monkeypatch.setattr(Saver, "save", lambda self, *what: setattr(self, "seconds", cost))
    plan: Any = SimpleNamespace(folder=SimpleNamespace(checkpoints=tmp_path), recipe=Recipe())
    with Clock(plan, made()) as clock:
        clock.checkpoint()
        for passed, due in ((waits - 0.1, False), (waits + 0.1, True)):
            now[0] = passed
            assert clock.due_at_epoch_end() is due
