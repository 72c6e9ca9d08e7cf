"""What the network said of every image of a split, kept so that runs can be compared image by image. No torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from netwright.errors import InputError
from netwright.files.atomic import write_atomic
from netwright.files.sealed import ZEROS, broken_seal, sealed

Array = npt.NDArray[Any]
MOST_BYTES = 64 * 2**20  # answers that would take more are kept in half precision


@dataclass(frozen=True, eq=False)
class StoredOutputs:
    """N answers in the order of the rows. `answers`: the network's own log-probabilities (N, K) or numbers (N,),
    float32 or float16; `predictions`, `targets` (N,): classes, int64, or numbers, float64; `rows` (N,) int64;
    `samples` (N,) int64, the first eight bytes of each image's SHA-256. `about`: split, its fingerprint, epoch,
    SHA-256 of the weights, class names."""

    answers: Array
    predictions: Array
    targets: Array
    rows: Array
    samples: Array
    about: dict[str, Any]


def save_outputs(path: Path, outputs: StoredOutputs) -> None:
    """Write the answers as safetensors, atomically."""
    scores = outputs.answers.astype(np.float32, copy=False)
    if scores.nbytes > MOST_BYTES:
        scores = np.maximum(scores, -65504).astype(np.float16)
    names = ("predictions", "targets", "rows", "samples")
    columns = {name: _column(getattr(outputs, name)) for name in names}
    path.parent.mkdir(exist_ok=True)
    # one entry: safetensors writes several in any order
    about = {"about": json.dumps(dict(sorted(outputs.about.items())) | {"seal": ZEROS})}
    content = save({"answers": np.ascontiguousarray(scores), **columns}, about)
    write_atomic(path, sealed(content, _header_end(content)))


def _column(values: Array) -> Array:
    return np.ascontiguousarray(values, dtype=np.float64 if values.dtype.kind == "f" else np.int64)


def load_outputs(path: Path) -> StoredOutputs:
    """Read them again. Raises InputError that names the file when it is damaged."""
    try:
        content = path.read_bytes()
        wrong = broken_seal(content, _header_end(content))
        if wrong:
            raise ValueError(wrong)
        about = json.loads(json.loads(content[8 : _header_end(content)])["__metadata__"]["about"])
        del about["seal"]
        return StoredOutputs(**load(content), about=about)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{path} can't be read ({error}); netwright evaluate writes it again") from None


def _header_end(content: bytes) -> int:
    """Return where the safetensors header ends, in bytes."""
    return 8 + int.from_bytes(content[:8], "little")
