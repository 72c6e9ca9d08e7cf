"""A disk that can't be written: what only reads works, what has to write says so; a real one, mounted read-only."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import netwright

UNSHARE = ["unshare", "-Urm"]  # a namespace in which mounting is allowed
# what is to be written where nothing can be: exit code 4, and the file named
REFUSED = {
    "disk/other": "train digits --model linear --epochs 1 --threads 1 --out disk/other",
    "disk/run/outputs/val.safetensors": "evaluate disk/run",
    "disk/run/report.html": "report disk/run",
    "disk/run/.lock": "resume disk/run --epochs 2",
    "disk/answers.csv.part": "predict disk/run disk/pictures --out disk/answers.csv",
    "disk/run.zip": "export disk/run --out disk/run.zip",
}
ALLOWED = [
    "runs show disk/run",
    "predict disk/run disk/pictures",
    "cache",
    "train disk/pictures --model linear --epochs 1 --threads 1 --out elsewhere",  # no cache, no memory of files
]
PROGRAM = f"""
import contextlib, io, json, subprocess
from pathlib import Path
import numpy as np
from PIL import Image
from netwright.cli.main import run

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "none", "disk"], check=True)
for number in range(24):
    path = Path("disk", "pictures", "ab"[number % 2], f"{{number}}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)).save(path)
said = {{}}
def call(line):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = run([*line.split(), "--quiet"])
    said[line] = [code, out.getvalue()]
call("train disk/pictures --model linear --epochs 1 --threads 1 --out disk/run")
subprocess.run(["mount", "-o", "remount,ro", "disk"], check=True)
for line in {[*REFUSED.values(), *ALLOWED]!r}:
    call(line)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each command line said, by line: exit code and text."""
    try:
        able = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        able = False
    if not able:
        pytest.skip("needs Linux, and leave to mount in a namespace of one's own (unshare -Urm)")
    place = tmp_path_factory.mktemp("place")
    (place / "disk").mkdir()
    source = str(Path(netwright.__file__).parents[1])
    homes = {f"XDG_{name}_HOME": str(place / "disk" / name.lower()) for name in ("CACHE", "STATE")}
    command = [*UNSHARE, sys.executable, "-c", PROGRAM]
    environment = os.environ | homes | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("path", REFUSED)
def test_what_has_to_write_names_the_file(path: str, said: dict[str, Any]) -> None:
    code, text = said[REFUSED[path]]
    assert code == 4, text
    assert f"{path} can't be written (Read-only file system); allow it, or use another folder" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("line", ALLOWED)
def test_what_only_reads_works(line: str, said: dict[str, Any]) -> None:
    code, text = said[line]
    assert code == 0, text
