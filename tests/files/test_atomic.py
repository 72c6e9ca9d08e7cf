"""Atomic files, hashes and the folder lock."""

import os
import subprocess
import sys

import pytest

from netwright.errors import MachineError
from netwright.files.atomic import append_line, write_atomic, write_json
from netwright.files.hashing import sha256_bytes, sha256_file
from netwright.files.lock import folder_lock


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(MachineError, match="the disk is full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["state.json"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    missing = tmp_path / "gone"
    with pytest.raises(OSError):
        write_atomic(missing / "file", b"")
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(MachineError, match="can't be written"):
            write_atomic(tmp_path / "file", b"")


def test_nan_is_not_json(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"loss": float("nan")})


def test_lines_are_appended_whole(tmp_path):
    for line in ("one", "two"):
        append_line(tmp_path / "log", line)
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_a_files_hash_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == sha256_bytes(b"abc")


HOLD = """
import sys, time
from pathlib import Path
from netwright.files.lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_and_a_dead_ones_lock_is_taken_over(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(MachineError, match=f"in use by process {holder.pid}"), folder_lock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with folder_lock(tmp_path):
        pass
