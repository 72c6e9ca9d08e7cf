"""Decoding what comes from outside in processes that may die: a crash or an endless decoding costs one image.

The processes are forked from a server that has loaded the decoder and nothing else, so that another one is there in
milliseconds. They get bytes and give pixels through a pipe; no path, no URL, no pickle of a request goes to them.
"""

import contextlib
import multiprocessing
import queue
import signal
import struct
import sys
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import numpy as np
import torch

from netwright.data.labelled import Array
from netwright.data.transform import EvalTransform
from netwright.errors import DataError, NetwrightError

_SHAPE = struct.Struct("<3I")
_PIXELS, _REASON = b"\0", b"\1"
_START_SECONDS = 60.0


class Decoders:
    """Some decoding processes for one transform; call from any thread, and `close` it at the end."""

    def __init__(self, transform: EvalTransform, *, processes: int, seconds: float, most_pixels: int) -> None:
        self._seconds = seconds
        # fork, which is left, would copy this process's threads' locks; Windows has only spawn
        self._context: Any = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        if sys.platform != "win32":
            self._context.set_forkserver_preload([__name__])
        self._arguments = (msgspec.json.encode(transform), most_pixels)
        self._idle: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
        started = [self._start() for _ in range(processes)]
        for decoder in started:
            decoder.ready()
            self._idle.put(decoder)
        self._number = processes

    def decode(self, content: bytes) -> Array:
        """Return the pixels (H, W, C) uint8 of one picture, as `EvalTransform.view` gives them.

        Raises DataError for what is no picture, is too large, ends the decoder or takes too long."""
        decoder = self._idle.get()
        why = "ended the decoder twice"
        try:
            for _ in range(2):  # a process may have ended for another reason: the image is not at fault for that
                try:
                    return decoder.decode(content, self._seconds)
                except TimeoutError:
                    decoder = self._another(decoder)
                    why = f"took more than {self._seconds:g} s to decode"
                    break
                except (EOFError, OSError):
                    decoder = self._another(decoder)
        finally:
            self._idle.put(decoder)
        raise DataError(f"the image {why}; it is damaged, or made to harm")

    def close(self) -> None:
        """End all processes; those that decode when they are done."""
        for _ in range(self._number):
            self._idle.get().end()

    def _another(self, ended: "_Decoder") -> "_Decoder":
        ended.end()
        return self._start()

    def _start(self) -> "_Decoder":
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, *self._arguments), daemon=True)
        process.start()
        theirs.close()
        return _Decoder(process, ours)


class _Decoder:
    """One process and our end of its pipe."""

    def __init__(self, process: Any, pipe: Connection) -> None:
        self._process, self._pipe, self._is_ready = process, pipe, False

    def ready(self) -> None:
        """Wait until it has loaded what it needs."""
        if not self._is_ready:
            if not self._pipe.poll(_START_SECONDS):
                raise TimeoutError
            self._pipe.recv_bytes()
            self._is_ready = True

    def decode(self, content: bytes, seconds: float) -> Array:
        self.ready()
        self._pipe.send_bytes(content)
        if not self._pipe.poll(seconds):
            raise TimeoutError
        answer = self._pipe.recv_bytes()
        if answer[:1] == _REASON:
            raise DataError(answer[1:].decode())
        shape = _SHAPE.unpack_from(answer, 1)
        return np.frombuffer(answer, np.uint8, offset=1 + _SHAPE.size).reshape(shape)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _work(pipe: Connection, transform: bytes, most_pixels: int) -> None:
    """Decode until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends us when it is done
    torch.set_num_threads(1)
    chosen = msgspec.json.decode(transform, type=EvalTransform)
    with contextlib.suppress(EOFError, OSError):
        pipe.send_bytes(b"ready")
        while True:
            pipe.send_bytes(_decoded(chosen, pipe.recv_bytes(), most_pixels))


def _decoded(transform: EvalTransform, content: bytes, most_pixels: int) -> bytes:
    try:
        pixels = np.ascontiguousarray(transform.view(transform.decode(content, most_pixels)))
    except NetwrightError as error:
        return _REASON + str(error).encode("utf-8", "backslashreplace")
    except MemoryError:
        return _REASON + b"the image needs more memory than there is"
    return _PIXELS + _SHAPE.pack(*pixels.shape) + pixels.tobytes()
