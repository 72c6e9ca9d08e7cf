"""Archives, which are not read: how they are known and what is said of them."""

from pathlib import Path

_UNPACK = {".zip": "unzip", ".7z": "7z x", ".rar": "unrar x"}  # the rest: tar -xf
ARCHIVE_SUFFIXES = (
    ".zip",
    ".tar",
    ".tgz",
    ".tbz2",
    ".txz",
    ".tar.gz",
    ".tar.bz2",
    ".tar.xz",
    ".tar.zst",
    ".7z",
    ".rar",
)


def how_to_unpack(name: str) -> str:
    """Return what to do with an archive of this name, as the second half of a sentence."""
    how = f"{_UNPACK.get(Path(name).suffix.lower(), 'tar -xf')} {name}"
    return f"unpack it (`{how}`) and give the folder that holds the class folders"


def archive_in(root: Path) -> str | None:
    """Return the path within a folder of the first archive in it, in a folder of it, or in a folder of that, if any."""
    for pattern in ("*", "*/*", "*/*/*"):
        ends = (path for path in root.glob(pattern) if path.name.lower().endswith(ARCHIVE_SUFFIXES))
        found = sorted(path for path in ends if path.is_file() and not path.is_symlink())
        if found:
            return str(found[0].relative_to(root))
    return None
