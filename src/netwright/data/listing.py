"""The images of a folder: class folders, with or without train/ val/ test/ above them. No NumPy, no torch."""

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from netwright.data.archives import archive_in, how_to_unpack
from netwright.errors import DataError, listed

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass
class Listing:
    """The images of a folder: split ("all" without splits) -> class name -> sorted paths relative to the root."""

    splits: dict[str, dict[str, list[str]]]
    notices: list[str] = field(default_factory=list)


@dataclass
class _Walk:
    """What one walk has seen besides images."""

    root: str
    strays: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)


def list_folder(root: Path, *, training: bool = True) -> Listing:
    """List a folder of class folders, or of train/ val/ test/ with class folders; stray files are counted in notices.

    Without `training` there need be no train/ and no second class: enough to judge on.
    Nested folders belong to their top class folder. Links that leave the root or loop are not followed.
    Raises DataError when there is nothing to train on or class names don't agree.
    """
    walk = _Walk(os.path.realpath(root))
    folders, files = _entries(root, walk)
    if not folders and not files:
        more = f" (links that leave the folder are not followed: {listed(walk.links)})" if walk.links else ""
        raise DataError(f"{root} is an empty folder{more}; expected one folder of images for each class")
    splits = _split_folders(folders, root, training)
    notices: list[str] = []
    if splits:
        found = {split: _list_classes(root, name, walk, notices) for split, name in splits.items()}
        found = _drop_unlabelled(found, splits, notices)
        rest = [name for name in folders if name not in splits.values()]
        notices += [
            f"took {name}/ as val" for split, name in splits.items() if split == "val" and name.lower() != "val"
        ]
        notices += [f"left out beside train/: {listed(rest)}"] if rest else []
        walk.strays += files
    else:
        walk.strays, walk.links = [], []  # the root's own entries are looked at again, as those of a split
        found = {"all": _list_classes(root, "", walk, notices)}
    _check_classes(found, root)
    return Listing(_without_empty(found, root, notices, training), notices + _walk_notices(walk))


def _entries(folder: str | Path, walk: _Walk) -> tuple[list[str], list[str]]:
    """Return the sorted names of sub-folders and files to look at; hidden ones and links that leave are put aside."""
    folders, files = [], []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder} can't be read ({error.strerror}); check its permissions") from None
    for entry in entries:
        if entry.is_symlink() and not _stays_inside(entry.path, walk.root):
            walk.links.append(entry.name)
        elif is_hidden(entry.name):
            walk.strays.append(entry.name)
        elif entry.is_dir():
            folders.append(entry.name)
        elif entry.is_file():
            files.append(entry.name)
        else:  # a pipe or device: reading it might never end
            walk.strays.append(entry.name)
    return folders, files


def is_hidden(name: str) -> bool:
    """Say whether a file or folder of this name is no image of the user's: `.DS_Store`, `._cat.jpg`, `__MACOSX`."""
    return name.startswith(".") or name == "__MACOSX"


def _stays_inside(link: str, root: str) -> bool:
    """Say whether a link leads to something inside the root that does not hold the link itself."""
    target, place = os.path.realpath(link), os.path.realpath(os.path.dirname(link))
    inside = target.startswith(root + os.sep) and os.path.exists(target)
    return inside and not (place + os.sep).startswith(target + os.sep)


def _split_folders(folders: Iterable[str], root: Path, training: bool) -> dict[str, str]:
    """Return split -> folder name, or nothing when the folders are classes."""
    names = list(folders)
    found: dict[str, str] = {}
    for name in names:
        split = SPLIT_FOLDERS.get(name.lower())
        if split in found and split is not None:
            raise DataError(f"{root} has both {found[split]}/ and {name}/; keep one of them as {split}/")
        if split is not None:
            found[split] = name
    if "train" in found and (len(found) > 1 or len(names) == 1):
        return {split: found[split] for split in ("train", "val", "test") if split in found}
    if found and len(found) == len(names):
        if not training:
            return {split: found[split] for split in ("val", "test") if split in found}
        raise DataError(f"{root} has {listed(sorted(found))}/ and no train/; expected train/ with a folder a class")
    return {}


def _list_classes(root: Path, part: str, walk: _Walk, notices: list[str]) -> dict[str, list[str]]:
    """Return class name -> images below `root/part`; images that lie beside the class folders have no label."""
    folders, files = _entries(root / part, walk)
    loose = [name for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
    if loose and not folders and not part:
        raise DataError(f"{root} has images ({listed(loose, 3)}) and no class folders; put each class into a folder")
    if loose:
        notices.append(f"{len(loose)} images beside the class folders of {part or root.name}/ have no label: left out")
    walk.strays += [name for name in files if name not in loose]
    return {name: _list_images(root, os.path.join(part, name), walk) for name in folders}


def _list_images(root: Path, part: str, walk: _Walk) -> list[str]:
    """Return all images below `root/part`, relative to the root: a folder's own, sorted, then those of its folders."""
    images: list[str] = []
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(part, frozenset())]  # with the folders on the way
    while waiting:
        part, above = waiting.pop()
        folder = os.path.join(root, part)
        here = _identity(folder)
        if here in above:
            walk.links.append(part)
            continue
        folders, files = _entries(folder, walk)
        images += [os.path.join(part, name) for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
        walk.strays += [name for name in files if not name.lower().endswith(IMAGE_SUFFIXES)]
        waiting += [(os.path.join(part, name), above | {here}) for name in reversed(folders)]
    return images


def _identity(folder: str) -> tuple[int, int]:
    """Return what a folder has alone, whatever the path to it: device and inode."""
    try:
        found = os.stat(folder)
    except OSError as error:
        raise DataError(f"{folder[:200]} can't be read ({error.strerror}); check its permissions") from None
    return found.st_dev, found.st_ino


def _drop_unlabelled(
    found: dict[str, dict[str, list[str]]], splits: dict[str, str], notices: list[str]
) -> dict[str, dict[str, list[str]]]:
    """Leave out a val/ or test/ that has no class folders (competitions ship their test images so)."""
    for split in ("val", "test"):
        if split in found and not found[split]:
            notices.append(f"{splits[split]}/ has no class folders, so no labels: left out")
            del found[split]
    return found


def _check_classes(found: dict[str, dict[str, list[str]]], root: Path) -> None:
    first = next(iter(found))
    for split, classes in found.items():
        where = str(root) if split == "all" else f"{root}: {split}/"
        seen: dict[str, str] = {}
        for name in classes:
            key = unicodedata.normalize("NFC", name).casefold()
            if key in seen:
                raise DataError(
                    f"{where} has two classes equal up to case, {seen[key]!r} and {name!r}; merge or rename"
                )
            seen[key] = name
        more, fewer = sorted(set(classes) - set(found[first])), sorted(set(found[first]) - set(classes))
        if more or fewer:
            only = [f"only in {split}/: {listed(more)}"] if more else []
            only += [f"only in {first}/: {listed(fewer)}"] if fewer else []
            raise DataError(
                f"{root}: the class folders of {first}/ and {split}/ differ ({'; '.join(only)}); make them equal"
            )


def _without_empty(
    found: dict[str, dict[str, list[str]]], root: Path, notices: list[str], training: bool
) -> dict[str, dict[str, list[str]]]:
    """Drop classes without images. Raises DataError when too few are left, or a class lacks training images."""
    first = next(iter(found))
    empty = [name for name, images in found[first].items() if not images]
    for name in empty:
        elsewhere = [split for split, classes in found.items() if classes[name]]
        if elsewhere:
            raise DataError(f"{root}: class {name!r} has no images in {first}/ and some in {elsewhere[0]}/; add some")
    if empty:
        notices.append(f"class folders without images, left out: {listed(empty)}")
    kept = {
        split: {name: images for name, images in classes.items() if name not in empty}
        for split, classes in found.items()
    }
    if not kept[first]:
        archive = archive_in(root)
        if archive is not None:
            raise DataError(f"{root} has no images in class folders, but an archive; {how_to_unpack(archive)}")
        raise DataError(f"{root} has no images in class folders; known endings: {listed(IMAGE_SUFFIXES, 12)}")
    if len(kept[first]) == 1 and training:
        only = next(iter(kept[first]))
        said = f" ({listed(empty)} has no images)" if empty else ""
        raise DataError(f"{root} has images of one class only, {only!r}{said}; a classifier needs two or more folders")
    return kept


def _walk_notices(walk: _Walk) -> list[str]:
    notices = []
    if walk.strays:
        notices.append(f"not images, ignored ({len(walk.strays)}): {listed(walk.strays, 3)}")
    if walk.links:
        notices.append(f"{len(walk.links)} links that leave the folder or loop, not followed: {listed(walk.links, 3)}")
    return notices
