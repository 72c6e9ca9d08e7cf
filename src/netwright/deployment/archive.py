"""The bundle as a folder or as one file: which members it has, how large they may be, and reading them.

The one file is a zip of the same members, not compressed (weights hardly are smaller compressed), without times: the
same bundle gives the same bytes. Reading takes the known members only, by name, into memory: nothing is extracted, no
path in it means anything, and what claims to be larger than it may be is refused before it is read.
"""

import io
import os
import stat
import zipfile
import zlib
from pathlib import Path

from netwright.errors import WeightsError

WEIGHTS, DESCRIPTION, CARD, GOLDEN = "model.safetensors", "bundle.json", "card.md", "golden.safetensors"
MOST_BYTES = {DESCRIPTION: 2**26, CARD: 2**24, GOLDEN: 2**30, WEIGHTS: 2**36}
MOST_MEMBERS = 16
# deflate reaches 1000; weights reach 1.1, so whatever is far beyond is a bomb and no bundle
MOST_EXPANSION, SMALL_BYTES = 20, 2**24
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def is_bundle(path: Path) -> bool:
    """Say whether something is a bundle by its looks: a folder with a bundle.json, or a zip file."""
    return (path / DESCRIPTION).is_file() or (path.is_file() and zipfile.is_zipfile(path))


def read_member(bundle: Path, name: str) -> bytes:
    """Read one member of a bundle's folder or file. Raises OSError or KeyError when it is not there, WeightsError when
    the file is not a bundle's."""
    if not bundle.is_file():
        return (bundle / name).read_bytes()
    try:
        with zipfile.ZipFile(bundle) as archive:
            member = _members(archive, bundle)[name]
            with archive.open(member) as stream:
                content = stream.read(member.file_size + 1)  # the checksum is compared when all has been read
    except _DAMAGED as error:
        raise WeightsError(f"{bundle} is not a whole bundle ({error}); restore it from a copy") from None
    if len(content) != member.file_size:
        raise WeightsError(f"{bundle}: {name} is larger than it says; it was not made by netwright")
    return content


def archive_bytes(members: dict[str, bytes]) -> bytes:
    """Return a bundle's members as one zip file, the same bytes on every machine and at every time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # Unix, also where it is made on Windows
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, members[name])
    return made.getvalue()


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name. Raises WeightsError for any that a bundle can't have."""
    infos = [info for info in archive.infolist() if not _is_surroundings(info.filename)]
    folder = _folder_of_all([info.filename for info in infos])
    if len(infos) > MOST_MEMBERS:
        raise WeightsError(f"{path} has {len(infos)} members and a bundle has at most {len(MOST_BYTES)}; {_ADVICE}")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.removeprefix(folder)
        if name not in MOST_BYTES or name in found:
            twice = " twice" if name in found else ", which no bundle has"
            raise WeightsError(f"{path} holds {info.filename[:80]!r}{twice}; {_ADVICE}")
        if info.flag_bits & 1:
            raise WeightsError(f"{path} is encrypted; decrypt it first")
        found[name] = info
        _check_size(info, name, path)
    return found


def _is_surroundings(name: str) -> bool:
    """Say whether a member is what tools add when a folder is zipped: the folder itself, and a Mac's notes on it."""
    return name.endswith("/") or name.startswith("__MACOSX/") or name.endswith("/.DS_Store")


def _folder_of_all(names: list[str]) -> str:
    """Return the one folder that all members lie in ("bundle/"), as when it was zipped as a whole; "" without one."""
    folders = {name.partition("/")[0] for name in names if "/" in name}
    if len(folders) != 1 or not all("/" in name for name in names):
        return ""
    (folder,) = folders
    return "" if folder in ("", ".", "..") else f"{folder}/"


def _check_size(info: zipfile.ZipInfo, name: str, path: Path) -> None:
    room = os.path.getsize(path)
    stored = min(info.compress_size, room)
    most = min(MOST_BYTES[name], max(SMALL_BYTES, MOST_EXPANSION * stored))
    if info.file_size > most:
        raise WeightsError(
            f"{path}: {info.filename} says that it has {info.file_size:,} bytes, and {most:,} is the most that it can "
            f"have; {_ADVICE}"
        )


_ADVICE = "make it with netwright export RUN --format bundle --out model.zip"
