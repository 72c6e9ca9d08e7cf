"""A process that decodes what comes from outside: bytes in, pixels or a reason out, through a socket.

A message is its length (8 bytes) and that many bytes: a picture on the way in; on the way out a byte that says which,
then the shape and the pixels, or the reason."""

import contextlib
import signal
import socket
import struct
from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
import torch

from netwright.data.labelled import Array
from netwright.data.transform import EvalTransform
from netwright.deployment.received import Read
from netwright.errors import NetwrightError

LENGTH = struct.Struct("<Q")
SHAPE = struct.Struct("<3I")
PIXELS, REASON = b"\0", b"\1"


def work(theirs: socket.socket, read: Read, transform: bytes, most_pixels: int) -> None:
    """Decode until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends us when it is done
    torch.set_num_threads(1)
    made = partial(read, msgspec.json.decode(transform, type=EvalTransform), most_pixels)
    with contextlib.suppress(EOFError, OSError):
        _send(theirs, b"ready")
        while True:
            _send(theirs, _decoded(made, receive(theirs)))


def _decoded(read: Callable[[bytes], Array], content: bytes) -> bytes:
    try:
        pixels = np.ascontiguousarray(read(content))
    except NetwrightError as error:
        return REASON + str(error).encode("utf-8", "backslashreplace")
    except MemoryError:
        return REASON + b"the image needs more memory than there is"
    return PIXELS + SHAPE.pack(*pixels.shape) + pixels.tobytes()


def _send(theirs: socket.socket, message: bytes) -> None:
    theirs.sendall(LENGTH.pack(len(message)) + message)


def receive(theirs: socket.socket) -> bytes:
    """Wait for one message. Raises EOFError when the other end is closed."""
    return _exactly(theirs, LENGTH.unpack(_exactly(theirs, LENGTH.size))[0])


def _exactly(theirs: socket.socket, number: int) -> bytes:
    got = bytearray(number)
    view, filled = memoryview(got), 0
    while filled < number:
        part = theirs.recv_into(view[filled:])
        if part == 0:
            raise EOFError
        filled += part
    return bytes(got)
