"""How long the start takes: `python benchmarks/startup.py [--rounds N] [--data-root DIR]`.

Each round runs, in processes of their own and in turns: `python -c pass`, `netwright --help`, `import torch`, and
`netwright train mnist-mlp` up to the end of its first training step, where the process ends itself. Medians of the
differences, by the clock and in processor time (which other processes disturb less). A first round warms the caches.
Aims: --help under 0.3 s in all, the first step within `import torch` + 0.7 s."""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from statistics import median

HELP = [sys.executable, "-m", "netwright", "--help"]
# the loop's listener is told of every step: leave as soon as the first is done
FIRST_STEP = """
import os, sys
from netwright.cli.main import run
from netwright.runtime.allocator import keep_large_blocks
from netwright.workflows import train
plain = train.run_training
def until_first_step(*arguments, **named):
    keep_large_blocks()
    from netwright.workflows.sitting import Watcher
    Watcher.step = lambda *arguments: os._exit(0)
    return plain(*arguments, **named)
train.run_training = until_first_step
sys.exit(run(["train", "mnist-mlp", *sys.argv[1:]]) or 1)
"""


def seconds(line: list[str]) -> tuple[float, float]:
    """Run a command to its end; return seconds by the clock and of the processor. Raises RuntimeError if it fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, env=os.environ, check=False)
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line[:3])} …: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int, train_options: list[str]) -> None:
    """Measure `rounds` rounds after one that warms up, and print the medians."""
    lines = {
        "python": [sys.executable, "-c", "pass"],
        "help": HELP,
        "torch": [sys.executable, "-c", "import torch"],
        "first step": [sys.executable, "-c", FIRST_STEP, *train_options],
    }
    measured = [{name: seconds(line) for name, line in lines.items()} for _ in range(1 + rounds)][1:]
    for kind, unit in enumerate(("by the clock", "of the processor")):
        taken = [{name: pair[kind] for name, pair in one.items()} for one in measured]
        print(f"seconds {unit}: " + ", ".join(f"{name} {median(one[name] for one in taken):.3f}" for name in lines))
        print(f"  --help over python     {median(one['help'] - one['python'] for one in taken):.3f}")
        print(f"  first step over torch  {median(one['first step'] - one['torch'] for one in taken):.3f}   (aim: 0.7)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data-root", help="where MNIST is; without it, it is downloaded")
    given = parser.parse_args()
    root = os.path.abspath(given.data_root) if given.data_root else None
    main(given.rounds, ["--data-root", root] if root else [])
