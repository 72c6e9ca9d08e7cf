"""Ctrl-C and SIGTERM: the first asks the training to stop after its step, the second stops at once."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StopSwitch:
    """Whether someone asked to stop."""

    def __init__(self) -> None:
        self.on = False

    def _press(self, number: int, frame: Any) -> None:
        if self.on:
            raise KeyboardInterrupt
        self.on = True
        print("stopping after this step; again to stop at once", file=sys.stderr, flush=True)


@contextmanager
def stop_switch() -> Iterator[StopSwitch]:
    """Catch SIGINT and SIGTERM while the block runs; outside the main thread nothing is caught."""
    switch = StopSwitch()
    if threading.current_thread() is not threading.main_thread():
        yield switch
        return
    old = {number: signal.signal(number, switch._press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield switch
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt while the block runs, so that what must be cleaned up is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
