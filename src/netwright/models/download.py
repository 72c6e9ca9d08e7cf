"""Published weights from the network, kept in the cache folder: whole and with the right hash, or not at all."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

import torch

from netwright.errors import MachineError, WeightsError
from netwright.files.folders import cache_folder

TIMEOUT_SECONDS = 30.0  # of silence; torch.hub's own download waits for ever
_CHUNK_BYTES = 2**20
_HASH = re.compile(r"-([a-f0-9]{6,})\.")  # as torch.hub reads it from a file's name


def weights_folder() -> Path:
    """Return where downloaded weights are kept."""
    return cache_folder() / "weights"


def fetch_weights(
    url: str, say: Callable[[str], None] | None = None, timeout: float = TIMEOUT_SECONDS, name: str | None = None
) -> Path:
    """Return the file of an address: from our cache folder, from torch's own, or downloaded now, which `say` is told.

    `name` is what it is kept as, if not by its name in the address.

    Raises MachineError, with the way out, when it can't be fetched, and WeightsError when its hash is not the one in
    its name."""
    name = name or url.rpartition("/")[2]
    target = weights_folder() / name
    for place in (target, Path(torch.hub.get_dir()) / "checkpoints" / name):
        if place.is_file():
            return place
    if say is not None:
        say(f"weights  downloading {url}")
    wanted = _HASH.search(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside, digest = _download(url, target, timeout)
    except (OSError, HTTPException, ValueError) as error:  # URLError and timeouts are OSErrors
        reason = str(getattr(error, "reason", None) or error).split("\n")[0]
        raise MachineError(
            f"the weights {name} could not be downloaded ({reason}). Fetch {url} elsewhere and put it into "
            f"{target.parent}, or give a weights file that you have: --weights PATH; without any: --weights none"
        ) from None
    if wanted is not None and not digest.startswith(wanted[1]):
        beside.unlink(missing_ok=True)
        raise MachineError(
            f"what {url} gave is not the file that it names (its SHA-256 begins with {digest[:8]} and not with "
            f"{wanted[1]}): the download was damaged or replaced on its way; try again"
        )
    os.replace(beside, target)
    return target


def check_hash(path: Path, sha256: str) -> None:
    """Raise WeightsError when a kept file is not the one whose hash its name has."""
    wanted = _HASH.search(path.name)
    if wanted is not None and not sha256.startswith(wanted[1]):
        raise WeightsError(
            f"{path} is damaged: its SHA-256 begins with {sha256[:8]} and not with {wanted[1]}; remove it, try again"
        )


def _download(url: str, target: Path, timeout: float) -> tuple[Path, str]:
    """Write what an address gives beside `target`; return that file and its SHA-256."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    beside, digest = Path(name), hashlib.sha256()
    try:
        with (
            os.fdopen(handle, "wb") as file,
            urlopen(Request(url, headers={"User-Agent": "netwright"}), timeout=timeout) as got,
        ):
            expected = got.headers.get("Content-Length")
            while chunk := got.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
            if expected is not None and file.tell() != int(expected):
                raise OSError(f"it ended after {file.tell():,} of {int(expected):,} bytes")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o644)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside, digest.hexdigest()
