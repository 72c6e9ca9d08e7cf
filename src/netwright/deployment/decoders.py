"""Decoding what comes from outside in processes that may die: a crash or an endless decoding costs one image.

The processes are forked from a server that has loaded the decoder and nothing else, so that another one is there in
milliseconds. They get bytes and give pixels through a socket that the event loop itself reads, for a thread between
the two would cost a small image more than its decoding; no path, no URL, no pickle of a request goes to them.
"""

import asyncio
import contextlib
import multiprocessing
import signal
import socket
import struct
import sys
from collections import deque
from typing import Any

import msgspec
import numpy as np
import torch

from netwright.data.labelled import Array
from netwright.data.transform import EvalTransform
from netwright.errors import DataError, NetwrightError

_LENGTH = struct.Struct("<Q")
_SHAPE = struct.Struct("<3I")
_PIXELS, _REASON = b"\0", b"\1"
_START_SECONDS = 60.0
_MOST_READ = 2**18  # bytes at once; an image of 224 × 224 is 0.15 million


class Decoders:
    """Some decoding processes for one transform. Use it from one event loop, then `close` it."""

    def __init__(self, transform: EvalTransform, *, processes: int, seconds: float, most_pixels: int) -> None:
        self._seconds = seconds
        # fork, which is left, would copy this process's threads' locks; Windows has only spawn
        self._context: Any = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        if sys.platform != "win32":
            self._context.set_forkserver_preload([__name__])
        self._arguments = (msgspec.json.encode(transform), most_pixels)
        self._idle = deque(self._start() for _ in range(processes))
        self._queue: deque[asyncio.Future[_Decoder]] = deque()  # of those who wait for a process
        for decoder in self._idle:
            decoder.wait_until_ready()

    async def decode(self, content: bytes, deadline: float | None = None) -> Array:
        """Return the pixels (H, W, C) uint8 of one picture, as `EvalTransform.view` gives them.

        Raises DataError for what is no picture, is too large, ends the decoder or takes too long; TimeoutError when no
        process is free before the `deadline`, by time.monotonic(), which is asyncio's clock."""
        decoder = await self._take(deadline)
        try:
            for _ in range(2):  # a process may have ended for another reason: the image is not at fault for that
                try:
                    return await decoder.decode(content, self._seconds)
                except TimeoutError:
                    raise DataError(self._blamed(f"took more than {self._seconds:g} s to decode")) from None
                except OSError:
                    decoder = self._another(decoder)
            raise DataError(self._blamed("ended the decoder twice"))
        finally:
            self._give(decoder if decoder.is_idle else self._another(decoder))

    def close(self) -> None:
        """End all processes."""
        while self._idle:
            self._idle.popleft().end()

    @staticmethod
    def _blamed(why: str) -> str:
        return f"the image {why}; it is damaged, or made to harm"

    async def _take(self, deadline: float | None) -> "_Decoder":
        if self._idle:
            return self._idle.popleft()
        turn: asyncio.Future[_Decoder] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                return await turn
        except (asyncio.CancelledError, TimeoutError):
            if turn.done() and not turn.cancelled():
                self._give(turn.result())
            raise

    def _give(self, decoder: "_Decoder") -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(decoder)
                return
        self._idle.append(decoder)

    def _another(self, ended: "_Decoder") -> "_Decoder":
        ended.end()
        return self._start()

    def _start(self) -> "_Decoder":
        ours, theirs = socket.socketpair()
        process = self._context.Process(target=_work, args=(theirs, *self._arguments), daemon=True)
        process.start()
        theirs.close()
        return _Decoder(process, ours)


class _Decoder:
    """One process and our end of its socket: one picture at a time."""

    def __init__(self, process: Any, ours: socket.socket) -> None:
        self.process, self._socket = process, ours
        self._ready, self.is_idle = False, True  # not idle: it owes an answer, or has ended

    def wait_until_ready(self) -> None:
        """Wait until it has loaded what it needs, before there is an event loop."""
        self._socket.settimeout(_START_SECONDS)
        _receive(self._socket)
        self._socket.setblocking(False)
        self._ready = True

    async def decode(self, content: bytes, seconds: float) -> Array:
        """Have one picture decoded. Raises DataError with the reason, TimeoutError, or OSError when it has ended."""
        self.is_idle = False
        if not self._ready:
            self._socket.setblocking(False)
            async with asyncio.timeout(_START_SECONDS):
                await self._next()
            self._ready = True
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_sendall(self._socket, _LENGTH.pack(len(content)) + content)
            answer = await self._next()
        self.is_idle = True
        if answer[:1] == _REASON:
            raise DataError(bytes(answer[1:]).decode())
        return np.frombuffer(answer, np.uint8, offset=1 + _SHAPE.size).reshape(_SHAPE.unpack_from(answer, 1))

    async def _next(self) -> memoryview:
        """Return its next message. There is never a second one behind it, for it is asked one thing at a time."""
        loop, got = asyncio.get_running_loop(), bytearray()
        while len(got) < _LENGTH.size or len(got) < _LENGTH.size + _LENGTH.unpack_from(got)[0]:
            part = await loop.sock_recv(self._socket, _MOST_READ)
            if not part:
                raise ConnectionResetError("the decoder has ended")
            got += part
        return memoryview(got)[_LENGTH.size :]

    def end(self) -> None:
        """Kill the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self._socket.close()


def _work(theirs: socket.socket, transform: bytes, most_pixels: int) -> None:
    """Decode until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends us when it is done
    torch.set_num_threads(1)
    chosen = msgspec.json.decode(transform, type=EvalTransform)
    with contextlib.suppress(EOFError, OSError):
        _send(theirs, b"ready")
        while True:
            _send(theirs, _decoded(chosen, _receive(theirs), most_pixels))


def _decoded(transform: EvalTransform, content: bytes, most_pixels: int) -> bytes:
    try:
        pixels = np.ascontiguousarray(transform.view(transform.decode(content, most_pixels)))
    except NetwrightError as error:
        return _REASON + str(error).encode("utf-8", "backslashreplace")
    except MemoryError:
        return _REASON + b"the image needs more memory than there is"
    return _PIXELS + _SHAPE.pack(*pixels.shape) + pixels.tobytes()


def _send(theirs: socket.socket, message: bytes) -> None:
    theirs.sendall(_LENGTH.pack(len(message)) + message)


def _receive(theirs: socket.socket) -> bytes:
    """Wait for one message. Raises EOFError when the other end is closed."""
    return _exactly(theirs, _LENGTH.unpack(_exactly(theirs, _LENGTH.size))[0])


def _exactly(theirs: socket.socket, number: int) -> bytes:
    got = bytearray(number)
    view, filled = memoryview(got), 0
    while filled < number:
        part = theirs.recv_into(view[filled:])
        if part == 0:
            raise EOFError
        filled += part
    return bytes(got)
