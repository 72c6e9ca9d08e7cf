"""Decoding what comes from outside in processes that may die: a crash or an endless decoding costs one image.

The processes are forked from a server that has loaded the decoder and nothing else, so that another one is there in
milliseconds. They get bytes and give pixels through a socket that the event loop itself reads, for a thread between
the two would cost a small image more than its decoding; no path, no URL, no pickle of a request goes to them.
"""

import asyncio
import contextlib
import multiprocessing
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from netwright.data.labelled import Array
from netwright.data.transform import EvalTransform
from netwright.deployment.decoding_process import LENGTH, REASON, SHAPE, receive, work
from netwright.deployment.received import Read, as_view
from netwright.errors import DataError

_START_SECONDS = 60.0
_MOST_READ = 2**18  # bytes at once; an image of 224 × 224 is 0.15 million
_QUICK_SECONDS = 0.001  # as long the event loop may stand still for a picture that comes alone
_MOST_AHEAD = 4  # pictures that a process is given; one that hangs holds up the others as long


@dataclass(eq=False)
class _Asked:
    """A picture, who waits for its pixels, which process has it and is at it, and how many ended while they were."""

    content: bytes
    answer: "asyncio.Future[Array]"
    by: "_Decoder | None" = None
    begun: bool = False
    ended: int = 0


def _give_up(asked: _Asked) -> None:
    """Tell who waits that no process has begun; whoever decodes it later answers nobody."""
    if not asked.begun and not asked.answer.done():
        asked.answer.set_exception(TimeoutError())


class Decoders:
    """Some decoding processes for one transform. Use it from one event loop, then `close` it.

    `read` is what they make of bytes: a function of a module that loads little."""

    def __init__(
        self, transform: EvalTransform, *, processes: int, seconds: float, most_pixels: int, read: Read = as_view
    ) -> None:
        self._seconds = seconds
        # fork, which is left, would copy this process's threads' locks; Windows has only spawn
        self._context: Any = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        if sys.platform != "win32":
            self._context.set_forkserver_preload([work.__module__, read.__module__])
        self._arguments = (read, msgspec.json.encode(transform), most_pixels)
        self._queue: deque[_Asked] = deque()  # while all processes have as much as they are given ahead
        self.every = [self._start() for _ in range(processes)]
        for decoder in self.every:
            decoder.wait_until_ready()

    async def decode(self, content: bytes, deadline: float | None = None, *, alone: bool = False) -> Array:
        """Return what `read` makes of one picture, three axes uint8: its pixels (H, W, C). `alone`: the event loop has
        nothing else to do, and may stand still for a moment.

        Raises DataError for what is no picture, is too large, ends the decoder or takes too long; TimeoutError when no
        process begins with it before the `deadline`, by time.monotonic(), which is asyncio's clock."""
        loop = asyncio.get_running_loop()
        asked = _Asked(content, loop.create_future())
        self._queue.append(asked)
        self._hand_out()
        if alone and asked.by is not None and asked.by.num_asked == 1:
            asked.by.look()
        if asked.begun or deadline is None:
            return await asked.answer
        too_late = loop.call_at(deadline, _give_up, asked)
        try:
            return await asked.answer
        finally:
            too_late.cancel()

    def close(self) -> None:
        """End all processes."""
        for decoder in self.every:
            decoder.end()

    def _hand_out(self) -> None:
        """Give what waits to the processes that have least to do."""
        while self._queue:
            decoder = min(self.every, key=lambda each: each.num_asked)
            if decoder.num_asked >= _MOST_AHEAD:
                return
            asked = self._queue.popleft()
            if not asked.answer.done():  # else nobody waits for it any more
                decoder.ask(asked)

    def _replace(self, ended: "_Decoder", asked: Sequence[_Asked]) -> None:
        """Start another process in the place of one that ended; what it had to do goes first."""
        ended.end()
        self.every[self.every.index(ended)] = self._start()
        self._queue.extendleft(reversed(asked))
        self._hand_out()

    def _start(self) -> "_Decoder":
        ours, theirs = socket.socketpair()
        process = self._context.Process(target=work, args=(theirs, *self._arguments), daemon=True)
        process.start()
        theirs.close()
        return _Decoder(process, ours, self._seconds, self._hand_out, self._replace)


class _Decoder:
    """One process and our end of its socket. It answers in the order in which it is asked.

    It is given a few pictures ahead: under a flood the event loop comes back to a socket only after it has turned down
    some hundred requests, and a process with one picture at a time would wait for that."""

    def __init__(
        self,
        process: Any,
        ours: socket.socket,
        seconds: float,
        free: Callable[[], None],
        lost: Callable[["_Decoder", Sequence[_Asked]], None],
    ) -> None:
        self.process, self._socket, self._seconds = process, ours, seconds
        self._free, self._lost = free, lost
        self._asked: deque[_Asked] = deque()
        self._unsent, self._got = bytearray(), bytearray()
        self._ready = self._watched = self._is_quick = False
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def num_asked(self) -> int:
        """Return how many answers it owes."""
        return len(self._asked)

    def wait_until_ready(self) -> None:
        """Wait until it has loaded what it needs, before there is an event loop."""
        self._socket.settimeout(_START_SECONDS)
        receive(self._socket)
        self._ready = True

    def ask(self, asked: _Asked) -> None:
        """Have one picture decoded; its future gets the pixels or the reason."""
        if not self._watched:
            self._socket.setblocking(False)
            asyncio.get_running_loop().add_reader(self._socket, self._read)
            self._watched = True
        self._asked.append(asked)
        asked.by = self
        self._unsent += LENGTH.pack(len(asked.content)) + asked.content
        if len(self._asked) == 1:
            self._begin_turn()
        self._write()

    def look(self) -> None:
        """Read the answer if it comes in a moment, as the last one did.

        For who is alone the way through the event loop, which sleeps and is woken, takes as long as a small picture's
        decoding."""
        if not self._is_quick or self._unsent:
            return
        self._socket.settimeout(_QUICK_SECONDS)
        try:
            self._read()
        finally:
            if self._socket.fileno() >= 0:  # it has not ended
                self._socket.setblocking(False)

    def end(self) -> None:
        """Kill the process, whatever it does."""
        self._stop_watching()
        self.process.kill()
        self.process.join()
        self._socket.close()

    def _begin_turn(self) -> None:
        """Begin to count the seconds of the picture that it is at."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asked:
            self._asked[0].begun, self._began = True, time.monotonic()
            seconds = self._seconds if self._ready else _START_SECONDS
            self._timer = asyncio.get_running_loop().call_later(seconds, self._too_slow)

    def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it has ended, which the next reading tells
            self._unsent.clear()
        if self._unsent:
            loop.add_writer(self._socket, self._write)
        else:
            loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            part = self._socket.recv(_MOST_READ)
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            part = b""
        if not part:
            self._ended()
            return
        self._got += part
        while len(self._got) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._got)[0]
            if len(self._got) < end:
                break
            self._answered(bytes(self._got[LENGTH.size : end]))
            del self._got[:end]
        self._free()

    def _answered(self, message: bytes) -> None:
        if not self._ready:
            self._ready = True
        else:
            self._is_quick = time.monotonic() - self._began < _QUICK_SECONDS
            answer = self._asked.popleft().answer
            if answer.done():  # nobody waits for it any more
                pass
            elif message[:1] == REASON:
                answer.set_exception(DataError(message[1:].decode()))
            else:
                shape = SHAPE.unpack_from(message, 1)
                answer.set_result(np.frombuffer(message, np.uint8, offset=1 + SHAPE.size).reshape(shape))
        self._begin_turn()

    def _too_slow(self) -> None:
        self._blame(f"took more than {self._seconds:g} s to decode")
        self._lost(self, tuple(self._asked))

    def _ended(self) -> None:
        """It may have ended for another reason: only the second time the image is at fault."""
        if self._asked:
            self._asked[0].ended += 1
            if self._asked[0].ended == 2:
                self._blame("ended the decoder twice")
        self._lost(self, tuple(self._asked))

    def _blame(self, why: str) -> None:
        answer = self._asked.popleft().answer
        if not answer.done():
            answer.set_exception(DataError(f"the image {why}; it is damaged, or made to harm"))

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(RuntimeError):  # the server's event loop is over
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
