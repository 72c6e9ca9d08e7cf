"""Which files a run was made of, kept in its split.json, so that a change can be named and not only noticed."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netwright.config.sections import Data
from netwright.data.discover import as_path
from netwright.data.fingerprint import fingerprint, sample_digests
from netwright.data.labelled import FileImages, LabelledData, Rows
from netwright.errors import DataError, listed

_BYTES = 6  # of a file's SHA-256: 8 letters in split.json, and one change in 10^14 is noticed but not named
_MOST_NAMED = 10
LEFT_OUT = "left_out"


def known_files(labelled: LabelledData, rows: Mapping[str, Rows]) -> dict[str, Any]:
    """Return what split.json keeps of files besides their names: `digests`, split -> base64 of 6 bytes a file.

    `left_out` are the names of the files that are in no split (bad ones). Of arrays nothing is kept."""
    if not isinstance(labelled.images, FileImages):
        return {}
    used = np.concatenate(list(rows.values()))
    others = np.setdiff1d(np.arange(len(labelled), dtype=np.int64), used)
    found = {**rows, LEFT_OUT: others} if len(others) else dict(rows)
    names = {LEFT_OUT: [labelled.sample_names[row] for row in others]} if len(others) else {}
    digests = sample_digests(labelled.images)[:, :_BYTES]
    return names | {
        "digests": {split: base64.b64encode(digests[part].tobytes()).decode("ascii") for split, part in found.items()}
    }


def check_files_there(kept: Mapping[str, Any], data: Data, what: str) -> None:
    """Raise DataError that lists the files of a run's split.json that are gone, before anything is opened."""
    source = as_path(data.source)
    root = source if source.is_dir() else Path(data.root) if data.root is not None else source.parent
    if "digests" not in kept or not root.is_dir():
        return
    names = [name for part in kept["splits"].values() for name in part]
    gone = [name for name in names if not (root / name).exists()]
    if gone:
        raise DataError(_refusal(what, {"gone": gone}))


def check_same_files(kept: Mapping[str, Any], labelled: LabelledData, what: str) -> None:
    """Raise DataError that lists what of a run's files is gone, changed or new since its split.json was written.

    Where the files are the same and their labels are not, it says so."""
    if "digests" not in kept or not isinstance(labelled.images, FileImages):
        return
    known = _known(kept)
    digests = sample_digests(labelled.images)[:, :_BYTES]
    here = {name: digests[row].tobytes() for row, name in enumerate(labelled.sample_names)}
    found = {
        "gone": [name for name in known if name not in here],
        "changed": [name for name, digest in here.items() if known.get(name, digest) != digest],
        "new": [name for name in here if name not in known],
    }
    if any(found.values()):
        raise DataError(_refusal(what, found))
    if kept["fingerprint"] != fingerprint(labelled):
        raise DataError(
            f"the labels of {what}, its classes or their order have changed since the run began, and no file has; put "
            "them back as they were, or start a new run"
        )


def _known(kept: Mapping[str, Any]) -> dict[str, bytes]:
    """Return name -> digest of all files that a split.json has."""
    known: dict[str, bytes] = {}
    try:
        for split, text in kept["digests"].items():
            names = kept[LEFT_OUT] if split == LEFT_OUT else kept["splits"][split]
            whole = base64.b64decode(text, validate=True)
            known |= {name: whole[_BYTES * place : _BYTES * (place + 1)] for place, name in enumerate(names)}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError("split.json is damaged (its digests); restore it from a copy, or train again") from None
    return known


def _refusal(what: str, found: Mapping[str, list[str]]) -> str:
    lines = [f"the data of {what} have changed since the run began:"]
    lines += [f"  {len(names):,} {kind}: {listed(names, _MOST_NAMED)}" for kind, names in found.items() if names]
    return "\n".join([*lines, "Put them back as they were, or start a new run."])
