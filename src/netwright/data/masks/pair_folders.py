"""Which folders hold images and their masks, told by names alone. No NumPy: a plan asks it before anything else."""

from collections.abc import Sequence
from pathlib import Path

from netwright.data.listing import SPLIT_FOLDERS
from netwright.errors import DataError

IMAGES, MASKS = "images", "masks"  # what the two folders are called where nobody names them


def holds_pairs(folder: Path) -> bool:
    """Say whether a folder holds images/ and masks/, or splits that do."""
    return bool(both_in(folder))


def both_in(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return split -> (images, masks): folder/images and folder/masks, or both in each of its splits."""
    if _has_both(folder):
        images, masks = folder / IMAGES, folder / MASKS
        splits, of_masks = splits_in(images), splits_in(masks)
        if splits and splits.keys() <= of_masks.keys():
            return {split: (splits[split], of_masks[split]) for split in splits}
        return {"all": (images, masks)}
    splits = splits_in(folder)
    if "train" in splits and all(_has_both(path) for path in splits.values()):
        return {split: (path / IMAGES, path / MASKS) for split, path in splits.items()}
    return {}


def _has_both(folder: Path) -> bool:
    return (folder / IMAGES).is_dir() and (folder / MASKS).is_dir()


def splits_in(folder: Path) -> dict[str, Path]:
    """Return split -> folder where a folder is divided into train/ and others; nothing where it is not."""
    found = {SPLIT_FOLDERS[path.name.lower()]: path for path in _folders(folder) if path.name.lower() in SPLIT_FOLDERS}
    return {name: found[name] for name in ("train", "val", "test") if name in found} if "train" in found else {}


def _folders(folder: Path) -> Sequence[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise DataError(f"{folder} can't be read ({error.strerror}); check its permissions") from None
