"""TensorBoard event files, written as the epochs end.

By the library's writer of single events, not by its SummaryWriter: the thread of that waits by the system's clock, dies
when it is set back by 25 days, and then the training would wait for it without end."""

import time
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
            self._begin(record["step"])
        from tensorboardX.summary import scalar

        for key, value in record.items():
            if isinstance(value, float):
                split, _, quantity = key.partition("_")
                tag = _TAGS.get(key, f"{quantity}/{split}" if quantity else key)
                self._add(record["step"], summary=scalar(tag, value))
        self._writer.flush()

    def _begin(self, step: int) -> None:
        """Make a new file, whose first event says that what others have from `step` on is void."""
        from tensorboardX.event_file_writer import EventsWriter  # 0.3 s to import: not for a run resumed at its end
        from tensorboardX.proto.event_pb2 import SessionLog

        self.folder.mkdir(exist_ok=True)
        # files are named by the second: without the step, two sittings in one second would write the same file
        self._writer = EventsWriter(str(self.folder / "events"), f".{step:09d}")
        self._add(step, session_log=SessionLog(status=SessionLog.START))

    def _add(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
