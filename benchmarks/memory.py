"""Peak anonymous memory of two trainings, torch included: `python benchmarks/memory.py [--data-root DIR]`.

The process of `netwright train` is looked at every 20 ms (RssAnon of /proc/PID/status; Linux only). Aims:
`mnist-mlp` under 1.0 GiB, `cifar10-cnn` under 1.6 GiB. One epoch each, validation, bundle and plots included."""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AIMS_GIB = {"mnist-mlp": 1.0, "cifar10-cnn": 1.6}


def peak_gib(recipe: str, options: list[str]) -> tuple[float, int]:
    """Train one epoch of a recipe in a process of its own; return its peak in GiB and its exit code."""
    line = [sys.executable, "-m", "netwright", "train", recipe, "--epochs", "1", "--quiet", *options]
    peak = 0
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([*line, "--out", f"{folder}/run"], stdout=subprocess.DEVNULL)
        while process.poll() is None:
            found = re.search(r"RssAnon:\s+(\d+) kB", _status(process.pid))
            peak = max(peak, int(found[1]) if found else 0)
            time.sleep(0.02)
    return peak / 2**20, process.returncode


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has just ended
        return ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=list(AIMS_GIB), help=f"[{' '.join(AIMS_GIB)}]")
    parser.add_argument("--data-root", help="where the data sets are; without it they are downloaded")
    parser.add_argument("--threads", help="[as the run chooses]")
    given = vars(parser.parse_args())
    options = [
        word
        for name in ("data_root", "threads")
        if given[name]
        for word in (f"--{name.replace('_', '-')}", given[name])
    ]
    for recipe in given["recipes"]:
        peak, code = peak_gib(recipe, options)
        aim = f", aim under {AIMS_GIB[recipe]}" if recipe in AIMS_GIB else ""
        print(f"{recipe:14} {peak:.2f} GiB{aim}" if code == 0 else f"{recipe:14} failed with exit code {code}")
