"""Tensors written as safetensors, one after the other and hashed on the way.

The library's own `save` and `save_file` hold Python's lock while they copy, and keep one or two more copies of all
tensors; a training thread would stand still meanwhile. What is written here the library reads."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from netwright.files.atomic import explained

_PIECE = 2**24  # bytes written and hashed at once, without Python's lock
# the format's names; every dtype that a network's state may have
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.uint16: "U16", torch.uint32: "U32",
    torch.uint64: "U64",
}  # fmt: skip


def write_tensors(path: Path, tensors: dict[str, Tensor], between: Callable[[], None] = lambda: None) -> str:
    """Write tensors (CPU) to a new file, fsync it and return its SHA-256; `between` is called after every piece.

    Raises MachineError when the disk is full or can't be written."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))  # big ones first: aligned
    header, end = {}, 0
    for name, value in ordered:
        start, end = end, end + value.numel() * value.element_size()
        header[name] = {"dtype": DTYPES[value.dtype], "shape": list(value.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with explained(path, 8 + len(text) + end), path.open("xb") as file:
        for content in (len(text).to_bytes(8, "little"), text):
            digest.update(content)
            file.write(content)
        for _, value in ordered:
            if not value.numel():
                continue
            octets = value.contiguous().reshape(-1).view(torch.uint8).numpy().data
            for start in range(0, len(octets), _PIECE):
                digest.update(octets[start : start + _PIECE])
                file.write(octets[start : start + _PIECE])
                between()
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
