"""Labelled data from a folder of class folders, with or without train/ val/ test/ above them."""

import unicodedata
from pathlib import Path

import numpy as np

from netwright.data.labelled import FileImages, LabelledData, Rows
from netwright.data.listing import list_folder
from netwright.data.texts import Paths, Texts


def open_folder(root: Path, value_range: tuple[float, float] | None, *, training: bool = True) -> LabelledData:
    """List the images of a folder; nothing is decoded yet. Raises DataError as `listing.list_folder` does."""
    listing = list_folder(root, training=training)
    folders = sorted(next(iter(listing.splits.values())))
    names: list[str] = []
    targets: list[int] = []
    given: dict[str, Rows] = {}
    for split, classes in listing.splits.items():
        start = len(names)
        for target, folder in enumerate(folders):
            names += classes[folder]
            targets += [target] * len(classes[folder])
        if len(names) > start:
            given[split] = np.arange(start, len(names), dtype=np.int64)
    known = Texts(names)
    return LabelledData(
        name=root.resolve().name,
        class_names=tuple(unicodedata.normalize("NFC", folder) for folder in folders),
        images=FileImages(Paths(root, known), value_range),
        targets=np.asarray(targets, dtype=np.int64),
        sample_names=known,
        given=given,
        notices=tuple(listing.notices),
    )
