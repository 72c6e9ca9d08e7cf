"""The images to predict: files, folders, patterns and lines of standard input, found while the work goes on."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from netwright.data.listing import IMAGE_SUFFIXES, is_hidden
from netwright.errors import DataError, InputError

STANDARD_INPUT = "-"
_PATTERN = "*?["


def image_files(path: Path) -> list[Path]:
    """Return the images to predict under a path: a file as it is, a folder's images at any depth, sorted.

    Raises DataError when there is no such path."""
    return [Path(found) for found in _under(str(path))]


def image_paths(given: Iterable[str], standard_input: BinaryIO | None = None) -> Iterator[str]:
    """Yield the images of paths one after the other, always in the same order; no list of all is made.

    A path is a file, which is taken whatever its name; a folder, whose images at any depth are; a pattern such as
    `shots/**/*.jpg`; or `-`, which stands for the paths that `standard_input` has, one a line, or each ended by a zero
    byte (`find -print0`). Hidden files (`._cat.jpg` of a Mac's archives) and linked folders are left out.
    Raises DataError for a path or pattern that leads to nothing, InputError when standard input is asked for twice."""
    for path in given:
        if path != STANDARD_INPUT:
            yield from _under(path)
            continue
        if standard_input is None:
            raise InputError("`-` stands for standard input, which can be read once; give it once")
        for line in _lines(standard_input):
            yield from _under(line)
        standard_input = None


def _under(path: str) -> Iterator[str]:
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        yield from _walk(path)
    elif os.path.lexists(path):
        yield path
    elif any(letter in path for letter in _PATTERN):
        yield from _matching(path)
    else:
        raise DataError(f"{path} does not exist; give image files, folders of them, or a pattern in quotes")


def _walk(folder: str) -> Iterator[str]:
    """Yield a folder's images, then those of its folders, both sorted by name."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        folders, files = _images_in(here)
        yield from (os.path.join(here, name) for name in sorted(files))
        waiting += [os.path.join(here, name) for name in sorted(folders, reverse=True)]


def _images_in(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of a folder's folders, without linked ones, and of its images."""
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.name.lower().endswith(IMAGE_SUFFIXES) and os.path.isfile(entry.path):  # a link may loop
                    files.append(entry.name)
    except OSError as error:
        raise DataError(f"{folder} can't be read ({error.strerror}); check its permissions") from None
    return folders, files


def _matching(pattern: str) -> Iterator[str]:
    """Yield the images that match, sorted; a pattern finds no hidden files of itself, but what a Mac's archive adds."""
    found = sorted(path for path in glob.iglob(pattern, recursive=True) if path.lower().endswith(IMAGE_SUFFIXES))
    images = [path for path in found if "__MACOSX" not in path.split(os.sep) and os.path.isfile(path)]
    if not images:
        raise DataError(f"no image matches {pattern}; see with `ls` what is there")
    yield from images


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Yield the paths of a stream as they come: ended by zero bytes where it has any in its first part, else lines."""
    rest = b""
    end = b""
    while part := stream.read1(65536) if hasattr(stream, "read1") else stream.read(65536):
        end = end or (b"\0" if b"\0" in part else b"\n" if b"\n" in part else b"")
        *whole, rest = (rest + part).split(end) if end else (rest + part,)
        yield from (os.fsdecode(path.removesuffix(b"\r")) for path in whole if path)
    if rest:
        yield os.fsdecode(rest.removesuffix(b"\r"))
