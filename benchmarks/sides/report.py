"""What every side shares: its arguments, the arrays, a terminal for progress, its one line of JSON. No torch here."""

import argparse
import json
import os
from importlib.metadata import version
from typing import TextIO

import numpy as np

from benchmarks.works import Work, works


def arguments_of(description: str | None) -> argparse.Namespace:
    """Read the arguments that the runner gives to every side; a side ignores what has no meaning for it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", required=True)
    parser.add_argument("--npz", required=True)
    parser.add_argument("--weights", help="state dict of the network that is evaluated")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes of the loader")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--in-memory", action="store_true", help="arrays in memory instead of pictures one by one")
    parser.add_argument("--tuned", action="store_true", help="a peer beyond what its documentation says for speed")
    parser.add_argument("--save-weights")
    return parser.parse_args()


def work_of(arguments: argparse.Namespace) -> Work:
    """Return the work that a side was asked to do."""
    return works(hardware_bf16=False)[arguments.work]


def read_arrays(path: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, H, W[, C]) uint8 and targets (N,) int64 of a split."""
    with np.load(path) as archive:
        return archive[f"x_{split}"], archive[f"y_{split}"]


def report(seconds: float, accuracy: float, packages: tuple[str, ...] = ("torch",), **detail: object) -> None:
    """Print the line that the runner reads; it has to be the last on standard output."""
    versions = {name: version(name) for name in packages}
    line = {"seconds": seconds, "accuracy": accuracy, "detail": {**detail, "versions": versions}}
    print("\n" + json.dumps(line), flush=True)  # on a line of its own, whatever a bar left behind


class Terminal:
    """A standard error that says it is a terminal, so that progress is drawn, and draws it nowhere."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._sink: TextIO = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        self.messages: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not text.startswith("\r") and text.strip():  # a message; a bar begins with a carriage return
            self.messages.append(text.strip())
        return self._sink.write(text)

    def flush(self) -> None:
        self._sink.flush()

    def fileno(self) -> int:
        return self._sink.fileno()
