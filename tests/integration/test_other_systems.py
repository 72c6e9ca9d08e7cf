"""What Linux has and macOS has not is done without: the road once more in a process that takes itself for a Mac."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netwright

# torch and the others are loaded first: they are built for the system that there really is
PROGRAM = """
import mmap, os, pathlib, sys
import PIL.Image, numpy, platformdirs, scipy.optimize, tensorboardX.event_file_writer, torch, torchvision, filelock
sys.platform = "darwin"
for name in ("posix_fallocate", "posix_fadvise", "POSIX_FADV_DONTNEED"):
    if hasattr(os, name):
        delattr(os, name)
plain = open
def without_proc(path, *rest, **named):
    if str(path).startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(2, "No such file or directory", str(path))
    return plain(path, *rest, **named)
import builtins, io
builtins.open = io.open = without_proc
from netwright.cli.main import run
quick = ["--model", "linear", "--threads", "1", "--device", "cpu", "--epochs", "1", "--quiet"]
for words in (
    ["train", "pictures", *quick, "--out", "run"],
    ["train", "pictures", *quick, "--out", "again"],
    ["resume", "run", "--epochs", "2", "--quiet"],
    ["evaluate", "run", "--quiet"],
    ["predict", "run", "pictures", "--quiet"],
    ["cache"],
):
    code = run(words)
    assert code == 0, (words, code)
"""


@pytest.mark.skipif(os.name == "nt", reason="a Windows can't take itself for a Mac")
def test_a_mac_is_trained_on(tmp_path: Path) -> None:
    for number in range(24):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)).save(path)
    source = str(Path(netwright.__file__).parents[1])
    homes = {f"XDG_{name}_HOME": str(tmp_path / name.lower()) for name in ("CACHE", "STATE")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=os.environ | homes | {"PYTHONPATH": source, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr + done.stdout
