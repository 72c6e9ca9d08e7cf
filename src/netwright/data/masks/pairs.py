"""Which mask is whose: folders with equal names, folders of splits, or a table of pairs."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from netwright.data.image_paths import image_files
from netwright.data.labelled import Rows
from netwright.data.masks.pair_folders import IMAGES, MASKS, both_in, splits_in
from netwright.errors import DataError, listed


@dataclass
class Pairs:
    """Images and their masks, in order; `given` has the rows of splits, or {"all": …}; `wrong` says, for each image
    that has no mask, or two, what is wrong."""

    images: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    given: dict[str, Rows] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, images: Path, masks: Path, split: str, root: Path) -> None:
        """Pair the images of a folder with the masks of another, by their names without ending. One folder may lie in
        the other."""
        start = len(self.images)
        of_images, of_masks = _by_stem(images, masks), _by_stem(masks, images)
        if of_images and not of_masks:
            raise DataError(f"{masks} has no masks; expected image files with the names of those in {images}")
        for stem, (path, *others) in of_images.items():
            found = of_masks.pop(stem, [])
            if others:
                self.wrong.append(f"{_shown(path, root)}: {listed(_shown(p, root) for p in others)} has the same name")
            if len(found) != 1:
                what = f"several masks: {listed(_shown(p, root) for p in found)}" if found else f"no mask in {masks}/"
                self.wrong.append(f"{_shown(path, root)}: {what}")
                continue
            self.images.append(path)
            self.masks.append(found[0])
            self.names.append(_shown(path, root))
        rest = [path for paths in of_masks.values() for path in paths]
        if rest:
            self.notices.append(f"masks without an image, left out: {listed([_shown(p, root) for p in rest], 5)}")
        if not of_images:
            raise DataError(f"{images} has no images; expected image files with masks of the same names in {masks}")
        self.given[split] = np.arange(start, len(self.images), dtype=np.int64)


def find_pairs(source: Path, masks: Path) -> Pairs:
    """Pair the images below `source` with the masks below `masks`; the same folder means that it holds both.

    Folders train/, val/ and test/ in both are the splits. Raises DataError when there is nothing to pair."""
    pairs = Pairs()
    if source == masks:
        inner = both_in(source)
        if not inner:
            raise DataError(
                f"{source} holds no {IMAGES}/ and {MASKS}/, nor splits that do; expected both, or the masks' own folder"
            )
        for split, (images, own_masks) in inner.items():
            pairs.add(images, own_masks, split, source)
        return pairs
    for folder in (source, masks):
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder; expected a folder of images and a folder of their masks")
    splits = splits_in(source)
    if splits:
        of_masks = splits_in(masks)
        missing = sorted(set(splits) - set(of_masks))
        if missing:
            raise DataError(f"{source} has {listed(splits)} and {masks} has no {listed(missing)}; make them equal")
        for split, folder in splits.items():
            pairs.add(folder, of_masks[split], split, source)
        return pairs
    pairs.add(source, masks, "all", source)
    return pairs


def _by_stem(folder: Path, other: Path) -> dict[str, list[Path]]:
    """Return path below the folder without ending -> the files of that name; those of another folder in it are not its
    own."""
    found: dict[str, list[Path]] = {}
    apart = other.is_relative_to(folder)
    for path in image_files(folder):
        if apart and path.is_relative_to(other):
            continue
        found.setdefault(str(path.relative_to(folder).with_suffix("")), []).append(path)
    return found


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
