"""TensorBoard event files, written as the epochs end."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from netwright.runs.history import Record

# record key -> TensorBoard tag; train and val of one quantity share a chart
_TAGS = {"lr": "lr", "train_seconds": "seconds/train", "val_seconds": "seconds/val"}


class EventWriter:
    """Writes each record's numbers; `history` is what the run has already, shared with the caller."""

    def __init__(self, folder: Path, history: Sequence[Record]) -> None:
        self.folder = folder
        self.history = history
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, record: Record) -> None:
        """Add the numbers of one epoch, on the axis of steps; what a killed sitting wrote beyond it is purged."""
        if self._writer is None:
            from tensorboardX import SummaryWriter  # 0.3 s to import: not for a run that is resumed at its end

            # files are named by the second: without the step, two sittings in one second would write the same file
            suffix = f".{record['step']:09d}"
            self._writer = SummaryWriter(str(self.folder), purge_step=record["step"], filename_suffix=suffix)
        for key, value in record.items():
            if isinstance(value, float):
                split, _, quantity = key.partition("_")
                tag = _TAGS.get(key, f"{quantity}/{split}" if quantity else key)
                self._writer.add_scalar(tag, value, record["step"])
        self._writer.flush()
