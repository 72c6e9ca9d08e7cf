"""Power cuts: whatever a disk may hold after one, at any point of a save, a whole checkpoint is found, at most one old.

Every prefix of what a save does is tried, with every way in which a disk may have kept what was not fsynced yet."""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.reliability import disk
from netwright.config.recipe import Recipe
from netwright.files.atomic import append_line, make_folders, write_atomic
from netwright.runs.checkpoints import has_checkpoint
from netwright.runs.folder import create_run
from netwright.training import checkpoint
from netwright.training.checkpoint import load_checkpoint, save_checkpoint
from netwright.training.state import Progress, Sums, TrainingState


def state_of(step: int) -> TrainingState:
    """A state whose every number is made of its step."""
    model = nn.Linear(2, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(step)
    state = TrainingState(model, torch.optim.SGD(model.parameters(), lr=0.1), Sums(lambda outputs, targets: targets))
    state.progress = Progress(step=step)
    return state


def loaded_step(folder: Path) -> int:
    """Return the step that is loaded, -1 where there is nothing to load; raises what loading raises."""
    if not has_checkpoint(folder):
        return -1
    state = state_of(0)
    load_checkpoint(folder, state)
    assert all(bool((value == state.progress.step).all()) for value in state.model.state_dict().values())
    return state.progress.step


def cut_everywhere(
    recorder: disk.Recorder, root: Path, scratch: Path, look: Callable[[Path], object]
) -> list[tuple[int, object]]:
    """Return (number of events that had happened, what is found) of every state that a power cut may leave."""
    inode = root.stat().st_ino
    found, known = [], dict[bytes, object]()
    for happened, crash in disk.crashes(recorder):
        key = hashlib.sha256(repr((sorted(crash.folders.items()), sorted(crash.content.items()))).encode()).digest()
        if key not in known:
            crash.build(scratch, inode, recorder.kinds)
            known[key] = look(scratch)
        found.append((happened, known[key]))
    return found


@pytest.mark.parametrize("saved_before", [0, 1, 2, 3])
def test_a_power_cut_in_a_save(saved_before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for step in range(1, saved_before + 1):
        save_checkpoint(folder, state_of(step))
    new = saved_before + 1
    with disk.recorded(folder, monkeypatch) as recorder:
        save_checkpoint(folder, state_of(new))
    found = cut_everywhere(recorder, folder, tmp_path / "disk", loaded_step)
    old = saved_before or -1
    assert {step for _, step in found} == {old, new}
    assert {step for happened, step in found if happened == len(recorder.events)} == {new}
    assert len(found) > 100


def test_a_power_cut_while_a_file_of_a_run_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_atomic(folder / "metrics.json", b"old")
    with disk.recorded(folder, monkeypatch) as recorder:
        write_atomic(folder / "metrics.json", b"new")
    found = cut_everywhere(recorder, folder, tmp_path / "disk", lambda place: (place / "metrics.json").read_bytes())
    assert {content for _, content in found} == {b"old", b"new"}
    assert {content for happened, content in found if happened == len(recorder.events)} == {b"new"}


@pytest.mark.parametrize("out", [None, Path("a/b/c")])
def test_a_power_cut_as_a_run_begins(out: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has begun its recipe is on the disk, with every folder that it lies in."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    with disk.recorded(home, monkeypatch) as recorder:
        made = create_run(Recipe(), out, "digits").recipe
    found = cut_everywhere(recorder, home, tmp_path / "disk", lambda place: (place / made).is_file())
    assert {there for happened, there in found if happened == len(recorder.events)} == {True}


def test_a_power_cut_after_the_first_line_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the test split that is in neither copy of the ledger would be forgotten."""
    home = tmp_path / "home"
    home.mkdir()
    with disk.recorded(home, monkeypatch) as recorder:
        make_folders(home / "state" / "looks")
        append_line(home / "state" / "looks" / "ledger.jsonl", "one")
    path = Path("state/looks/ledger.jsonl")
    found = cut_everywhere(
        recorder, home, tmp_path / "disk", lambda place: (place / path).is_file() and (place / path).read_bytes()
    )
    assert {content for happened, content in found if happened == len(recorder.events)} == {b"one\n"}


@pytest.mark.parametrize("forgotten", ["files", "folder"])
def test_the_model_of_a_disk_sees_what_is_forgotten(
    forgotten: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save without the fsync of its files, or of its folder, is found out."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    save_checkpoint(folder, state_of(1))
    with disk.recorded(folder, monkeypatch) as recorder:
        watched = os.fsync
        if forgotten == "folder":
            monkeypatch.setattr(checkpoint, "sync_folder", lambda place: None)
        else:
            monkeypatch.setattr(os, "fsync", lambda handle: watched(handle) if is_folder(handle) else None)
        save_checkpoint(folder, state_of(2))
    found = cut_everywhere(recorder, folder, tmp_path / "disk", loaded_step)
    assert {step for happened, step in found if happened == len(recorder.events)} == {1, 2}


def is_folder(handle: int) -> bool:
    return stat.S_ISDIR(os.fstat(handle).st_mode)
