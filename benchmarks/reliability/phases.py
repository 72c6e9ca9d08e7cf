"""Where in a run a process is, told to another one: a byte for the phase, counts of how often each was entered."""

import mmap
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from time import perf_counter
from typing import Any

# phase -> where the function lies that the run calls for it, as `module:name`
PLACES = {
    "decode": "netwright.workflows.sitting:open_prepared",
    "gate": "netwright.workflows.build:pass_gate",
    "build": "netwright.workflows.sitting:build_state",
    "features": "netwright.workflows.sitting:on_features",
    "settle": "netwright.workflows.sitting:settle",
    "train": "netwright.workflows.sitting:fit",
    "checkpoint": "netwright.training.saver:write_checkpoint",
    "validate": "netwright.training.fit:validate",
    "results": "netwright.workflows.sitting:write_results",
    "bundle": "netwright.workflows.results:save_bundle",
    "plots": "netwright.workflows.results:draw_plots",
    "report": "netwright.workflows.report:report_at_the_end",
}
NAMES = ("begin", *PLACES, "save")  # the last one is entered by jobs themselves, see `entered`
_ENTRY = struct.Struct("<Id")  # how often a phase was entered, and the seconds in it


class Board:
    """Shared memory of one child: its phase, and for each phase how often it was entered and how long it took."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)

    def clear(self) -> None:
        self._memory[:] = bytes(len(self._memory))

    @property
    def phase(self) -> str:
        return NAMES[self._memory[0]]

    @phase.setter
    def phase(self, name: str) -> None:
        self._memory[0] = NAMES.index(name)

    def entry(self, name: str) -> tuple[int, float]:
        """Return how often a phase was entered, and its seconds in all."""
        count, seconds = _ENTRY.unpack_from(self._memory, self._place(name))
        return count, seconds

    def put(self, name: str, count: int, seconds: float) -> None:
        _ENTRY.pack_into(self._memory, self._place(name), count, seconds)

    def _place(self, name: str) -> int:
        return 64 + _ENTRY.size * NAMES.index(name)


def note_phases(board: Board) -> None:
    """Let every function of PLACES tell the board when it is entered and left. For a process of one run."""
    global _board
    _board = board
    for name, place in PLACES.items():
        module, _, function = place.partition(":")
        home = import_module(module)
        setattr(home, function, _telling(board, name, getattr(home, function)))


def _telling(board: Board, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    def told(*arguments: Any, **named: Any) -> Any:
        with entered(name):
            return plain(*arguments, **named)

    return told


@contextmanager
def entered(name: str) -> Iterator[None]:
    """Tell the board of this process that a phase is entered, and that it is left.

    Another thread than the main one is shown while it lasts: it writes checkpoints beside the training."""
    board, started = _board, perf_counter()
    count, seconds = board.entry(name)
    board.put(name, count + 1, seconds)
    beside = threading.current_thread() is not threading.main_thread()
    before, board.phase = board.phase, name
    try:
        yield
    finally:
        board.put(name, count + 1, seconds + perf_counter() - started)
        board.phase = "train" if beside else before


_board = Board()
