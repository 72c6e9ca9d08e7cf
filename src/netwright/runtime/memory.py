"""How much memory is left, and whether the system has ended processes for lack of it. No torch; None where unknown.

Linux tells both, of the machine and of the group (container) that the process is in; other systems are not asked."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from netwright.runtime.allocator import TOP_PAD_BYTES

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_UNLIMITED = 2**60  # version 1 of the groups says so for no limit


def available_bytes() -> int | None:
    """Return how many bytes a process could still take: of the machine (swap included), its group and its own limit."""
    found = re.findall(r"^(MemAvailable|SwapFree): +(\d+) kB", _read(PROC / "meminfo"), re.MULTILINE)
    left = [1024 * sum(int(kilobytes) for _, kilobytes in found)] if found else []
    for folder in _groups():
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            most, now = _read(folder / limit).strip(), _read(folder / used).strip()
            if most.isdigit() and now.isdigit() and int(most) < _UNLIMITED:
                left.append(int(most) - int(now) + _reclaimable(folder))
    left += _own_limit()
    return max(0, min(left)) if left else None


def oom_kills() -> int | None:
    """Return how many processes the kernel has ended for lack of memory: in this group, else on the machine."""
    for folder in _groups():
        found = re.search(
            r"^oom_kill (\d+)", _read(folder / "memory.events") + _read(folder / "memory.oom_control"), re.M
        )
        if found:
            return int(found[1])
    found = re.search(r"^oom_kill (\d+)", _read(PROC / "vmstat"), re.MULTILINE)
    return int(found[1]) if found else None


def _groups() -> Iterator[Path]:
    """Yield the folders that speak of this process's memory: its own group's, and the one that a container sees."""
    for line in _read(PROC / "self" / "cgroup").splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            for folder in (GROUPS / kinds / path.lstrip("/"), GROUPS / kinds):
                if folder.is_dir():
                    yield folder


def _reclaimable(group: Path) -> int:
    """Return the bytes of files in memory, which are given up when there is need."""
    found = re.search(r"^(?:total_)?inactive_file (\d+)", _read(group / "memory.stat"), re.MULTILINE)
    return int(found[1]) if found else 0


def _own_limit() -> list[int]:
    """Return what is left of the address space where it is limited (ulimit -v).

    Not all of it can be used: the heap grows by more than it needs, and gaps between blocks of other sizes stay."""
    try:
        import resource  # not on Windows
    except ImportError:
        return []
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _read(PROC / "self" / "statm").split()
    if most == resource.RLIM_INFINITY or not used:
        return []
    return [most - int(used[0]) * os.sysconf("SC_PAGE_SIZE") - 2 * TOP_PAD_BYTES]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
