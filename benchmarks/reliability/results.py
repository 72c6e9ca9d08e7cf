"""Where the figures go: printed, and kept as benchmarks/results/reliability/NAME.json with date and command."""

import json
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from benchmarks.measure import ROOT
from netwright.runs.environment import processor_name

FOLDER = ROOT / "benchmarks" / "results" / "reliability"


def kept(name: str) -> dict[str, Any]:
    """Return the figures that were kept of a measurement."""
    figures: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return figures


def keep(name: str, figures: dict[str, Any], *, passed: bool) -> int:
    """Print and keep the figures of one measurement; return the exit code."""
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"python -m benchmarks.reliability.{name} {' '.join(sys.argv[1:])}".strip(),
        "machine": f"{processor_name()}, {platform.system()} {platform.release().partition('-')[0]}",
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("torch", "numpy")},
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures | about, indent=1)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    print("passed" if passed else "FAILED")
    return 0 if passed else 1
