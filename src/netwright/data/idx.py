"""The IDX files of the MNIST family, packed or not, read without torchvision and without writing anything.

Format: two zero bytes, a type byte (8: unsigned bytes), the number of dimensions, each dimension as big-endian uint32,
then the values (LeCun, http://yann.lecun.com/exdb/mnist/)."""

import gzip
import math
import os
import re
import zlib
from pathlib import Path

import numpy as np

from netwright.data.labelled import Array
from netwright.errors import DataError

FAMILY = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}


def find_idx(name: str, root: Path) -> dict[str, tuple[Path, Path]] | None:
    """Return split -> (images, labels) below `root`, in torchvision's layout or directly in it; None if incomplete.

    The files of MNIST, FashionMNIST and KMNIST have the same names: without that layout the folder's name decides."""
    emnist = name.removeprefix("emnist-") if name.startswith("emnist-") else None
    folder = "EMNIST" if emnist else FAMILY.get(name)
    if folder is None:
        return None
    stems = (
        {"train": f"emnist-{emnist}-train", "test": f"emnist-{emnist}-test"}
        if emnist
        else {"train": "train", "test": "t10k"}
    )
    directly = (root / "raw", root) if emnist or _named_for(name, root) else ()
    for place in (root / folder / "raw", *directly):
        found = {
            split: (
                _packed_or_not(place, f"{stem}-images-idx3-ubyte"),
                _packed_or_not(place, f"{stem}-labels-idx1-ubyte"),
            )
            for split, stem in stems.items()
        }
        pairs = {split: (images, labels) for split, (images, labels) in found.items() if images and labels}
        if len(pairs) == len(stems):
            return pairs
    return None


def _named_for(name: str, root: Path) -> bool:
    """Say whether a folder (of a folder raw/, the one around it) is named for a set; mnist takes any but another's."""
    absolute = Path(os.path.abspath(root))
    named = absolute.parent.name if absolute.name == "raw" else absolute.name
    plain = re.sub(r"[-_ ]", "", named).lower()
    if name == "mnist":
        return plain not in {folder.lower() for other, folder in FAMILY.items() if other != "mnist"}
    return plain == FAMILY[name].lower()


def _packed_or_not(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def read_idx(path: Path) -> Array:
    """Read one file of unsigned bytes into a uint8 array of its own shape. Raises DataError when it is damaged."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or can't be read ({error}); fetch it again") from None
    num_dims = content[3] if content[:3] == b"\x00\x00\x08" and len(content) > 4 else 0
    start = 4 + 4 * num_dims
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    if not shape or len(content) != start + math.prod(shape):
        raise DataError(f"{path} is damaged or not an IDX file of bytes ({len(content)} bytes); fetch it again")
    return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)
