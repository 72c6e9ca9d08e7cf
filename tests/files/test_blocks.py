"""Kept blocks with real processes: two builders, a killed one, damage, the limit, a folder that can't be written."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.errors import MachineError
from netwright.files import blocks
from netwright.files.block_limit import block_folder, entries, in_use, remove, set_limit, sweep
from netwright.files.blocks import find_block, open_block

KEY = {"kind": "pixels", "files": "abc"}
BUILDER = """
import sys, time, numpy as np
from netwright.files.blocks import open_block
def fill(values):
    print("filling", flush=True)
    sys.stdin.readline()
    values[:] = np.arange(len(values)) % 251
    return {"by": sys.argv[1]}
block = open_block({"kind": "pixels", "files": "abc"}, title="t", size=100_000, dtype="uint8", fill=fill, say=print)
print("has", block.meta["by"], int(block.values.sum()), block.kept, flush=True)
sys.stdin.readline()
"""
SUM = int((np.arange(100_000) % 251).astype(np.uint8).sum(dtype=np.int64))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, own_cache: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield


def counting(values: np.ndarray) -> dict[str, Any]:
    values[:] = np.arange(len(values)) % 251
    return {"by": "us"}


def opened(key: dict[str, Any] = KEY, size: int = 100_000, fill: Any = counting) -> blocks.Block:
    return open_block(key, title="t", size=size, dtype="uint8", fill=fill)


def never(values: np.ndarray) -> dict[str, Any]:
    raise AssertionError("filled again")


def builder(name: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", BUILDER, name], stdin=pipe, stdout=pipe, text=True, bufsize=1)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_block_is_filled_once_and_found_again() -> None:
    first = opened()
    again = opened(fill=never)
    assert np.array_equal(first.values, again.values)
    assert (again.meta, again.kept, again.notices) == ({"by": "us"}, True, ())
    again.values[:] = 0  # a private mapping: the file stays as it was
    found = find_block(KEY)
    assert found is not None
    assert np.array_equal(found.values, np.arange(100_000) % 251)
    assert find_block(KEY | {"files": "abd"}) is None
    floats = open_block({"kind": "features"}, title="f", size=3, dtype="float32", fill=lambda v: {"n": v.fill(0.5)})
    assert floats.values.dtype == np.float32
    assert floats.values.tolist() == [0.5] * 3
    assert len(opened({"kind": "none"}, 0, lambda values: {}).values) == 0


def test_a_large_block_is_read_while_it_goes_to_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, close = threading.Event(), blocks.close_block

    def slow(*arguments: Any) -> None:
        assert disk.wait(10)
        close(*arguments)

    monkeypatch.setattr(blocks, "BEHIND_BYTES", 1)
    monkeypatch.setattr(blocks, "close_block", slow)
    first = opened()
    assert int(first.values.sum(dtype=np.int64)) == SUM
    assert [path.suffix for path in block_folder().iterdir()] == [".part"]
    sweep()  # which leaves it alone
    first.values[:] = 0  # a private mapping: what goes to the disk stays as it was filled
    disk.set()
    found = find_block(KEY)  # waits for it
    assert found is not None
    assert (int(found.values.sum(dtype=np.int64)), found.meta) == (SUM, {"by": "us"})
    assert in_use(block_folder() / next(block_folder().iterdir()).name)
    del found
    assert not remove(next(block_folder().iterdir()))  # the first mapping is still there
    del first
    assert remove(next(block_folder().iterdir()))


def test_a_disk_that_refuses_in_the_end_leaves_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(blocks, "BEHIND_BYTES", 1)
    monkeypatch.setattr(blocks, "close_block", refuse)
    first = opened()
    assert find_block(KEY) is None
    assert list(block_folder().iterdir()) == []
    assert int(first.values.sum(dtype=np.int64)) == SUM


def test_a_process_ends_when_its_block_is_on_the_disk() -> None:
    program = BUILDER.replace("block = ", "import netwright.files.blocks as b; b.BEHIND_BYTES = 1\nblock = ")
    subprocess.run([sys.executable, "-c", program, "quick"], input="\n\n", text=True, check=True, capture_output=True)
    assert opened(fill=never).meta == {"by": "quick"}


def test_of_two_builders_one_fills_and_the_other_waits() -> None:
    first = builder("first")
    assert line(first) == "filling"
    with builder("second") as second:
        assert "another process is at it" in line(second)
        with first:
            go_on(first)
            assert line(first) == f"has first {SUM} True"
            assert line(second) == f"has first {SUM} True"
            go_on(first)
        go_on(second)
    assert [path.suffix for path in block_folder().iterdir()] == [".block"]


def test_who_waits_goes_on_when_the_builder_has_given_up() -> None:
    """A builder whose disk refuses at the end removes its part and lives on, with the lock on what has no name now."""
    with builder("first") as first:
        assert line(first) == "filling"
        with builder("second") as second:
            assert "another process is at it" in line(second)
            next(block_folder().glob("*.part")).unlink()
            assert line(second) == "filling"
            go_on(second)
            assert line(second) == f"has second {SUM} True"
            go_on(second)
        first.kill()


def test_a_builder_killed_leaves_what_the_next_takes_over() -> None:
    with builder("killed") as process:
        assert line(process) == "filling"
        process.send_signal(signal.SIGKILL)
    assert [path.suffix for path in block_folder().iterdir()] == [".part"]
    assert find_block(KEY) is None
    assert opened().meta == {"by": "us"}
    assert [path.suffix for path in block_folder().iterdir()] == [".block"]


def test_a_part_is_swept_when_its_builder_is_dead_and_not_before() -> None:
    with builder("killed") as process:
        assert line(process) == "filling"
        sweep()
        assert len(list(block_folder().iterdir())) == 1
        process.send_signal(signal.SIGKILL)
    sweep()
    assert list(block_folder().iterdir()) == []


def test_a_failing_fill_leaves_nothing() -> None:
    with pytest.raises(AssertionError, match="filled again"):
        opened(fill=never)
    assert list(block_folder().iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "hole", "manifest", "empty"])
def test_a_damaged_block_is_made_anew_and_said(damage: str) -> None:
    opened()
    (path,) = block_folder().iterdir()
    whole = path.read_bytes()
    torn = {
        "cut": whole[:60_000],
        "hole": whole[:40_000] + bytes(8192) + whole[48_192:],
        "manifest": whole[:100_010] + b"?" + whole[100_011:],
        "empty": b"",
    }[damage]
    path.write_bytes(torn)
    block = opened()
    assert np.array_equal(block.values, np.arange(100_000) % 251)
    assert "damaged" in block.notices[0]
    assert path.read_bytes()[:100_000] == whole[:100_000]
    assert opened(fill=never).notices == ()


def test_the_limit_removes_what_was_used_least_recently_and_nothing_in_use() -> None:
    set_limit(350_000)
    for name in "abc":
        opened({"kind": "pixels", "files": name})
    times = {entry.manifest["key"]["files"]: entry.path for entry in entries() if entry.manifest}
    for age, name in enumerate("cab"):  # c was used last, then a, then b
        os.utime(times[name], (1e9 - age, 1e9 - age))
    held = find_block({"kind": "pixels", "files": "b"})  # which makes b the newest
    os.utime(times["b"], (1, 1))
    assert in_use(times["b"])
    assert not remove(times["b"])
    opened({"kind": "pixels", "files": "d"})
    left = {entry.manifest["key"]["files"] for entry in entries() if entry.manifest}
    assert left == {"b", "c", "d"}
    assert held is not None
    del held
    set_limit(0)
    assert entries() == []
    big = opened()
    assert not big.kept
    assert "netwright cache --limit" in big.notices[0]
    assert np.array_equal(big.values, np.arange(100_000) % 251)


def test_a_full_disk_fills_in_memory_with_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any, num_bytes: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blocks, "allocate", full)
    block = opened()
    assert not block.kept
    assert "No space left" in block.notices[0]
    assert list(block_folder().iterdir()) == []
    monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 100)
    with pytest.raises(MachineError, match="the disk is full"):
        opened()


def test_large_ones_that_are_not_kept_lie_in_a_file_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    set_limit(0)
    monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 100)
    block = opened()
    assert np.array_equal(block.values, np.arange(100_000) % 251)
    assert [path.name for path in block_folder().iterdir()] == ["settings.json"]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root writes into every folder")
def test_a_read_only_folder_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    block = opened()
    assert not block.kept
    assert "Permission denied" in block.notices[0]


def test_a_folder_that_is_none_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    block = opened()
    assert not block.kept
    assert len(block.notices) == 1
    assert np.array_equal(block.values, np.arange(100_000) % 251)
