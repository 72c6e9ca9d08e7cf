"""Print one line of JSON about the machine and our environment."""

import json
import platform
from pathlib import Path

import torch

import netwright
from netwright.runtime.machine import available_cores, hardware_bf16


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    described = {
        "processor": processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": available_cores(),
        "hardware_bf16": hardware_bf16(torch.device("cpu")),
        "versions": {
            "netwright": netwright.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
    print(json.dumps(described))


if __name__ == "__main__":
    main()
