"""What this machine and build of torch can promise about equal results, in sentences for people."""

import os
import sys
from pathlib import Path

import torch

from netwright.runtime.machine import hardware_bf16

# what keeps no promise of its own about fsync and locks: it is the server that must
_NETWORK_FILE_SYSTEMS = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "sshfs",
    "fuse.sshfs",
    "9p",
    "ceph",
    "lustre",
    "glusterfs",
)


def gpu_name() -> str | None:
    """Return the device word of a GPU that torch can use, `cuda` or `mps`; None without one."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def describe_build() -> str:
    """Return one phrase: torch's version and what it was built for."""
    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    return f"torch {torch.__version__.partition('+')[0]} built for {built_for}"


def promises() -> list[str]:
    """Return what is promised of a run that is killed and resumed, device by device."""
    bf16 = "has bf16 in hardware" if hardware_bf16(torch.device("cpu")) else "has no bf16 in hardware: fp32 is used"
    found = [
        "CPU: the same bits on this machine with this version of torch and as many threads (a resumed run uses those "
        f"of its recipe); the processor {bf16}"
    ]
    kind = gpu_name()
    if kind == "cuda":
        found.append(
            f"{torch.cuda.get_device_name()}: the same bits with --exact (deterministic algorithms, no TF32); "
            "without it sums are added in any order and kernels chosen by time, so weights differ in their last digits "
            "and then, as between two plain runs, more from step to step"
        )
    elif kind == "mps":
        found.append("MPS: nothing, torch has no deterministic algorithms for it; use --device cpu for the same bits")
    else:
        found.append("no GPU that torch can use: nothing was tried on one")
    return found


def folder_promises(folder: Path) -> list[str]:
    """Return what is weaker in this folder, or on this system, than the promise; nothing where it holds whole."""
    found = []
    if os.name == "nt":
        found.append("Windows can't flush a folder: after a power cut (not a kill) the last checkpoint may be missing")
    if sys.platform == "darwin":
        found.append("macOS: fsync leaves data in the drive's own cache: a power cut (not a kill) may lose more")
    kind = _file_system(folder)
    if kind in _NETWORK_FILE_SYSTEMS:
        found.append(f"{folder} is on a network file system ({kind}): power cuts and locks are as good as its server")
    return found


def _file_system(folder: Path) -> str:
    """Return the kind of file system that a folder lies on, on Linux; else nothing."""
    try:
        lines = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ""
    place, found = str(folder.resolve()), ("", "")
    for _, mounted, kind, *_ in lines:
        inside = place == mounted or place.startswith(mounted.rstrip("/") + "/")
        if inside and len(mounted) >= len(found[0]):
            found = mounted, kind
    return found[1]
