"""The user's own data set through DataLoader's workers: the same batches, clear errors, nothing left behind."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from netwright.config.recipe import build_recipe
from netwright.data import loading
from netwright.data.augment import build_augmentation
from netwright.data.batches import Batches
from netwright.data.items import name_of_item
from netwright.data.labelled import ItemImages
from netwright.data.prepare import PreparedData, prepare
from netwright.data.sources import open_data
from netwright.data.splits import split_rows
from netwright.errors import DataError

CPU = torch.device("cpu")
X = np.random.default_rng(0).integers(0, 256, (30, 40, 50, 3), dtype=np.uint8)


class Noisy(Dataset[Any]):
    """Items that draw from all three generators; floats, or pictures of different sizes."""

    def __init__(self, floats: bool, harm: Callable[[int], None] | None = None) -> None:
        self.floats, self.harm = floats, harm

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if self.harm is not None and torch.utils.data.get_worker_info() is not None:
            self.harm(index)
        if self.floats:
            return torch.rand(2, 5, 4) + np.random.rand() + random.random() + index, index % 2  # noqa: NPY002
        left = int(torch.randint(0, 8, ()))
        return Image.fromarray(X[index, index % 7 :, left:]), index % 2


def prepared_of(data: object, workers: int | str, augmentation: list[str] | None = None) -> PreparedData:
    recipe = build_recipe(
        {
            "transform": {"normalize": "none"},
            "runtime": {"workers": workers},
            "augmentation": augmentation or [],
            "data": {} if getattr(data, "floats", False) else {"image_size": 16},
        }
    )
    labelled = open_data(recipe.data, data)
    return prepare(labelled, split_rows(labelled, recipe.split), recipe)


def epoch_of(prepared: PreparedData, augmentation: list[str] | None = None) -> list[torch.Tensor]:
    return [batch.images for batch in batches_of(prepared, augmentation).epoch(2)]


def batches_of(prepared: PreparedData, augmentation: list[str] | None = None) -> Batches:
    parts = build_recipe({"augmentation": augmentation or []}).augmentation
    augment = build_augmentation(parts, 1, prepared.transform.image_size, (0.0, 1.0))
    return Batches(prepared, "train", batch_size=4, device=CPU, seed=1, augment=augment, shuffle=True)


@pytest.mark.parametrize(
    ("floats", "augmentation"),
    [(True, []), (False, ["horizontal_flip"]), (False, ["random_resized_crop", "horizontal_flip"])],
)
def test_the_number_of_workers_changes_nothing(floats: bool, augmentation: list[str]) -> None:
    prepared = [prepared_of(Noisy(floats), workers, augmentation) for workers in (0, 1, 2)]
    assert [one.workers for one in prepared] == [0, 1, 2]
    state = torch.get_rng_state()
    found = [epoch_of(one, augmentation) for one in prepared]
    assert torch.equal(torch.get_rng_state(), state)
    alone = [batches_of(prepared[2], augmentation).batch(2, number).images for number in range(len(found[0]))]
    for others in zip(*found, alone, strict=True):
        assert all(torch.equal(others[0], other) for other in others)
    assert not torch.equal(found[0][0], batches_of(prepared[0], augmentation).batch(3, 0).images)


def test_an_abandoned_epoch_leaves_no_process() -> None:
    batches = batches_of(prepared_of(Noisy(True), 2))
    for _ in batches.epoch(1):
        assert len(multiprocessing.active_children()) == 2
        break
    deadline = time.monotonic() + 20
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


def _raise_at_7(index: int) -> None:
    if index == 7:
        raise ValueError("seven")


def _die_at_7(index: int) -> None:
    if index == 7:
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_error_in_a_worker_is_told_as_in_the_process() -> None:
    with pytest.raises(DataError, match=r"^item 7 of Noisy can't be read \(ValueError: seven\)$"):
        epoch_of(prepared_of(Noisy(True, _raise_at_7), 2))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_dies_twice_is_told_with_the_item(workers: int) -> None:
    prepared = prepared_of(Noisy(True, _die_at_7), workers)
    with pytest.raises(DataError, match=r"died while it read item 7 of Noisy .*, twice; .*workers: 0"):
        epoch_of(prepared)
    assert not multiprocessing.active_children()


class Once:
    """Harm that is done the first time only, in whatever process."""

    def __init__(self, folder: Path, harm: Callable[[int], None]) -> None:
        self.mark, self.harm = folder / "done", harm

    def __call__(self, index: int) -> None:
        if index == 7 and not self.mark.exists():
            self.mark.touch()
            self.harm(index)


def _hang_at_7(index: int) -> None:
    if index == 7:
        time.sleep(600)


def _crash_at_7(index: int) -> None:
    if index == 7:
        os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize("harm", [_die_at_7, _crash_at_7, _hang_at_7])
def test_a_worker_is_started_once_more_and_nothing_is_different(harm: Callable[[int], None], tmp_path: Path) -> None:
    expected = epoch_of(prepared_of(Noisy(True), 0))
    prepared = replace(prepared_of(Noisy(True, Once(tmp_path, harm)), 2), worker_timeout_seconds=1.5)
    found = epoch_of(prepared)
    assert (tmp_path / "done").exists()
    assert len(found) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_worker_that_hangs_twice_is_told_with_the_item() -> None:
    prepared = replace(prepared_of(Noisy(True, _hang_at_7), 2), worker_timeout_seconds=1.5)
    with pytest.raises(DataError, match=r"did not get on for 1.5 s while it read item 7 of Noisy, twice"):
        epoch_of(prepared)
    assert not multiprocessing.active_children()


@pytest.mark.filterwarnings("error")
def test_workers_start_without_warnings() -> None:
    """Python 3.12 warns of a fork where there are threads."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        assert len(epoch_of(prepared_of(Noisy(True), 2))) > 1


def test_what_other_processes_cannot_get_is_read_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    prepared = prepared_of(Noisy(True, lambda index: None), 2)
    assert prepared.workers == 0
    assert any("can't be pickled" in notice for notice in prepared.labelled.notices)
    assert len(epoch_of(prepared)) > 1
    assert prepared_of(Noisy(True, _raise_at_7), 2).workers == 2


def test_a_notebooks_class_is_read_in_the_process() -> None:
    class Notebook(Noisy):
        pass

    Notebook.__module__ = "__main__"
    items = ItemImages((Notebook(True),), np.array([[0, 3]]))
    main = __import__("sys").modules["__main__"]
    file = main.__dict__.pop("__file__", None)
    try:
        assert "notebook" in str(loading.why_no_workers(items, "spawn"))
        assert loading.why_no_workers(items, "fork") is None
    finally:
        if file is not None:
            main.__file__ = file
    assert name_of_item(items, 0) == "item 3 of Notebook"


def test_workers_are_chosen_where_reading_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "available_cores", lambda: 8)
    monkeypatch.setattr(loading, "_seconds_an_item", lambda items: 0.01)
    assert prepared_of(Noisy(True), "auto").workers == loading.MOST_WORKERS
    monkeypatch.setattr(loading, "_seconds_an_item", lambda items: 0.0001)
    assert prepared_of(Noisy(True), "auto").workers == 0
    assert prepared_of((X, np.arange(30) % 2), 2).workers == 0  # arrays are gathered from the store
