"""Checkpoints written in a thread of their own, while the training goes on."""

import threading
from pathlib import Path
from time import perf_counter, thread_time

from torch import Tensor

from netwright.config.recipe import Recipe
from netwright.training.checkpoint import write_checkpoint
from netwright.training.snapshot import Snapshot, take_snapshot
from netwright.training.state import TrainingState


class _Abandoned(BaseException):
    """Ends the writing of a checkpoint that nobody waits for."""


class Saver:
    """Writes one checkpoint at a time; the training stands still only while its state is copied in memory.

    What goes wrong in the thread is raised by the next `check` or `wait`. `seconds` is what the last one cost the
    training: the copy, and the thread's processor time, though a core may have been free for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buffers: dict[str, Tensor] = {}
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._abandoned = False
        self.seconds = 0.0

    @property
    def busy(self) -> bool:
        """Say whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

    def save(self, state: TrainingState, recipe: Recipe) -> None:
        """Copy the state and begin to write it, after the checkpoint that is being written, if any."""
        self.wait()
        start = perf_counter()
        snapshot = take_snapshot(state, recipe, self._buffers)
        arguments = (snapshot, perf_counter() - start)
        self._thread = threading.Thread(target=self._write, args=arguments, name="netwright-checkpoint", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what went wrong in the thread, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait until the last checkpoint is on the disk. Raises what went wrong, MachineError for a full disk."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def finish(self) -> None:
        """Wait as `wait` does, and leave what went wrong unsaid: there is another error to tell of."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def abandon(self) -> None:
        """Stop writing, within 16 MiB; the checkpoint before it stays."""
        self._abandoned = True
        self.finish()

    def _write(self, snapshot: Snapshot, copying_seconds: float) -> None:
        try:
            write_checkpoint(self._folder, snapshot, self._go_on)
            self.seconds = copying_seconds + thread_time()
        except _Abandoned:
            pass
        except BaseException as error:
            self._error = error

    def _go_on(self) -> None:
        if self._abandoned:
            raise _Abandoned
