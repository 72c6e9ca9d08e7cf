"""What is left of memory: the machine's, the container's and the process's own limit; the least of them counts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netwright.runtime import memory
from netwright.runtime.memory import available_bytes, oom_kills

MEMINFO = "MemTotal:  24684544 kB\nMemFree:  100 kB\nMemAvailable:   20000 kB\nSwapFree:   1000 kB\n"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files as Linux has them: proc/ and group/."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "group")
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_nothing_is_known_elsewhere(system: Path) -> None:
    assert available_bytes() is None
    assert oom_kills() is None


def test_the_machines_memory(system: Path) -> None:
    put(system / "proc" / "meminfo", MEMINFO)
    put(system / "proc" / "vmstat", "nr_free_pages 1\noom_kill 7\n")
    assert available_bytes() == 21000 * 1024
    assert oom_kills() == 7


def test_the_containers_limit_counts_without_files_in_memory(system: Path) -> None:
    put(system / "proc" / "meminfo", MEMINFO)
    put(system / "proc" / "self" / "cgroup", "0::/mine\n")
    put(system / "group" / "mine" / "memory.max", "9000000\n")
    put(system / "group" / "mine" / "memory.current", "8000000\n")
    put(system / "group" / "mine" / "memory.stat", "anon 1\ninactive_file 500000\n")
    put(system / "group" / "mine" / "memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 0\n")
    assert available_bytes() == 1_500_000
    assert oom_kills() == 3
    put(system / "group" / "mine" / "memory.max", "max\n")
    assert available_bytes() == 21000 * 1024


def test_groups_of_the_first_version(system: Path) -> None:
    put(system / "proc" / "meminfo", MEMINFO)
    put(system / "proc" / "self" / "cgroup", "8:pids:/\n4:memory:/there\n0::/\n")
    put(system / "group" / "memory" / "memory.limit_in_bytes", "5000000\n")  # as a container sees its own
    put(system / "group" / "memory" / "memory.usage_in_bytes", "6000000\n")
    put(system / "group" / "memory" / "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert available_bytes() == 0
    assert oom_kills() == 2
    put(system / "group" / "memory" / "memory.limit_in_bytes", f"{2**63 - 4096}\n")
    assert available_bytes() == 21000 * 1024


@LINUX
def test_a_real_machine_has_some() -> None:
    found = available_bytes()
    assert found is not None
    assert 2**20 < found < 2**50


LIMITED = """
import resource, sys
from netwright.runtime.memory import available_bytes
most = 3 * 2**30
resource.setrlimit(resource.RLIMIT_AS, (most, most))
left = available_bytes()
taken = bytearray(100 * 2**20)
print(left, available_bytes())
"""


@LINUX
def test_the_process_own_limit_counts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": SOURCE},
    )
    left, after = map(int, done.stdout.split())
    assert left < 3 * 2**30
    assert 95 * 2**20 < left - after < 110 * 2**20


SOURCE = str(Path(memory.__file__).parents[2])
