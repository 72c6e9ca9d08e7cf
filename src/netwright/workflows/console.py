"""The training's progress as text on standard error: a summary, one line an epoch, a bar where there is a terminal."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from netwright.workflows.duration import duration
from netwright.workflows.printable import printable

_COLUMNS = {
    "accuracy": ("acc", ".2%"),
    "mae": ("mae", ".4g"),
    "mean_dice": ("dice", ".4f"),
}  # of the first number that a task records


MOST_LINES = 100  # about, of epochs that are shorter than this
LONG_SECONDS = 0.5


class Console:
    """Prints what a person watching wants to see; `quiet` prints nothing but notices that change the result.

    With `json` standard output belongs to the one JSON object, and this writes to standard error."""

    def __init__(self, quiet: bool = False, json: bool = False) -> None:
        self.quiet = quiet
        self.stream = sys.stderr if json else sys.stdout
        self.log: Path | None = None  # the run's log.txt, once there is a run
        self.things = "images"  # that are trained on
        self._bar: Any = None
        self._header = False

    def say(self, text: str = "") -> None:
        """Print a line of information."""
        self._keep(text)
        if not self.quiet:
            self._close()
            print(printable(text), file=self.stream, flush=True)

    def warn(self, text: str) -> None:
        """Print what the user should know even when quiet."""
        self._keep(text)
        self._close()
        print(printable(text), file=sys.stderr, flush=True)

    def step(self, epoch: int, epochs: int, done: int, total: int, num_samples: int) -> None:
        """Move the bar, where standard error is a terminal."""
        if self._bar is None:
            if self.quiet or not sys.stderr.isatty():
                return
            self._bar = tqdm(
                total=total * num_samples,
                initial=(done - 1) * num_samples,
                desc=f"epoch {epoch}/{epochs}",
                unit=f" {self.things}",
                unit_scale=True,
                bar_format="{desc} {percentage:3.0f} % |{bar:40}| {rate_fmt}, {remaining} left",
                leave=False,
                mininterval=0.2,
                dynamic_ncols=True,
            )
        self._bar.update(num_samples)

    def epoch(self, record: dict[str, Any], epochs: int, best: bool) -> None:
        """Print the epoch's line: the numbers that decide first. Of very many short epochs about a hundred lines."""
        seconds = record["train_seconds"] + record.get("val_seconds", 0)
        told = record["epoch"] % -(-epochs // MOST_LINES) == 0 or record["epoch"] in (1, epochs)
        if not told and seconds < LONG_SECONDS:
            return
        name = next(key for key in record if key.startswith("train_") and key != "train_loss").removeprefix("train_")
        short, form = _COLUMNS[name]
        if not self._header:
            self._header = True
            self.say(
                f"{'epoch':>9}  {'val ' + short:>8}  {'val loss':>8}  {'train ' + short:>9}  {'train loss':>10}"
                f"  {'penalty' if 'penalty' in record else 'lr':>8}  {'time':>7}"
            )
        val = (
            f"{record[f'val_{name}']:8{form}}  {record['val_loss']:8.4f}"
            if "val_loss" in record
            else f"{'–':>8}  {'–':>8}"
        )
        count = f"{record['epoch']}/{epochs}"
        self.say(
            f"{count:>9}  {val}  {record[f'train_{name}']:9{form}}  {record['train_loss']:10.4f}  "
            f"{record.get('penalty', record.get('lr')):8.2g}  "
            f"{duration(seconds):>7}{'  best' if best else ''}"
        )

    def _keep(self, text: str) -> None:
        """Add a line to the run's log, with the time."""
        if self.log is not None and text:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            with self.log.open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{now} {printable(text)}\n")

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
