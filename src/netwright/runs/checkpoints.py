"""Where a run's checkpoints lie and what they say of themselves, read without torch."""

from pathlib import Path
from typing import Any

from netwright.errors import InputError
from netwright.files.sealed import read_sealed

NAMES = ("current", "previous")  # the newest first
MANIFEST = "manifest.json"


def has_checkpoint(folder: Path) -> bool:
    """Say whether there is anything to resume from."""
    return any((folder / name / MANIFEST).exists() for name in NAMES)


def read_manifest(checkpoint: Path) -> dict[str, Any]:
    """Return one checkpoint's manifest. Raises OSError or InputError when it is missing or damaged."""
    return read_sealed(checkpoint / MANIFEST)


def kept(folder: Path) -> dict[str, Any]:
    """Return what the newest whole manifest says of its run, `recipe` and `epochs` done; nothing when there is none."""
    for name in NAMES:
        try:
            return read_manifest(folder / name)
        except (OSError, InputError):
            continue
    return {}
