"""Run one side in a process of its own, watch its memory, read its line of JSON."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SAMPLE_SECONDS = 0.05
TIMEOUT_SECONDS = 1800.0


class SideFailed(Exception):
    """A side ended with an error; the message is the end of what it said."""


@dataclass(frozen=True)
class Measured:
    """What one run of one side gave; `peak_anon_bytes` adds up the process and its children, 0 where unknown."""

    pair: int
    side: str
    seconds: float
    process_seconds: float
    accuracy: float
    peak_anon_bytes: int
    detail: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self)


def measure(pair: int, side: str, command: Sequence[str], threads: int) -> Measured:
    """Run `python -m …` in an empty folder. Raises SideFailed with the reason when it ends with an error."""
    environment = os.environ | {"PYTHONPATH": _python_path(), "OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        peak = _watch(process)
        process_seconds = time.perf_counter() - start
        printed, said = _text(out), _text(err)
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        raise SideFailed(((said or printed).strip().splitlines() or [f"exit {process.returncode}"])[-1])
    found = json.loads(lines[-1])
    return Measured(pair, side, found["seconds"], process_seconds, found["accuracy"], peak, found["detail"])


def describe_machine(python: str = sys.executable) -> dict[str, Any]:
    """Ask our environment what it computes on."""
    command = [python, "-m", "benchmarks.sides.machine"]
    environment = os.environ | {"PYTHONPATH": _python_path()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _python_path() -> str:
    return os.pathsep.join([str(ROOT), str(ROOT / "src")])


def _text(file: Any) -> str:
    file.seek(0)
    return file.read().decode("utf-8", errors="replace")


def _watch(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end; return the most anonymous memory seen. Looking costs 0.1 ms every 50, the same for all."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    peak = 0
    while process.poll() is None:
        peak = max(peak, _anonymous_bytes(process.pid))
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(SAMPLE_SECONDS)
    return peak


def _anonymous_bytes(pid: int) -> int:
    """Return RssAnon of a process and its descendants."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("RssAnon:"):
                total = int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text(encoding="utf-8").split()
            total += sum(_anonymous_bytes(int(child)) for child in children)
    except (OSError, ValueError):  # it has ended, or there is no /proc
        pass
    return total
