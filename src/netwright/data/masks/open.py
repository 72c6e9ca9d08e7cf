"""Images with masks, checked before anything is trained: every pair, its sizes and its values."""

from pathlib import Path

import numpy as np

from netwright.config.sections import Data
from netwright.data.discover import TABLE_SUFFIXES, as_path
from netwright.data.file_facts import file_facts
from netwright.data.labelled import FileImages, LabelledData, MaskFiles
from netwright.data.masks.coding import Coding, found_coding, said_coding
from netwright.data.masks.pair_tables import pairs_of_table
from netwright.data.masks.pairs import Pairs, find_pairs
from netwright.data.masks.values import Look, look_at
from netwright.data.texts import Paths, Texts
from netwright.errors import DataError, listed

_MOST_LISTED = 200
_MOST_VALUES = 8


def open_masked(data: Data, value_range: tuple[float, float] | None, *, training: bool = True) -> LabelledData:
    """Open images and their masks: `data.masks` is the folder of masks (that of the images, if it holds both), or the
    column of a table. Raises DataError that names every pair that can't be used."""
    assert data.masks is not None
    source = as_path(data.source)
    if source.suffix.lower() in TABLE_SUFFIXES:
        pairs = pairs_of_table(source, data)
    else:
        pairs = find_pairs(source, as_path(data.masks))
    images = FileImages(Paths(Path(), Texts(map(str, pairs.images))), value_range)
    coding, notices = _checked(source, data, pairs, images)
    if training and "all" not in pairs.given and "train" not in pairs.given:
        raise DataError(f"{source} has {listed(pairs.given)} and nothing to train on; add train images")
    masks = MaskFiles(tuple(pairs.masks), coding)
    return LabelledData(
        name=source.stem if source.is_file() else source.resolve().name,
        class_names=coding.class_names,
        images=images,
        targets=masks.numbers(),
        sample_names=tuple(pairs.names),
        given={split: rows for split, rows in pairs.given.items() if len(rows)},
        notices=(*pairs.notices, *notices),
        task="segmentation",
        masks=masks,
    )


def _checked(source: Path, data: Data, pairs: Pairs, images: FileImages) -> tuple[Coding, tuple[str, ...]]:
    """Return what the masks' values mean. Raises DataError with all that is wrong of all pairs."""
    looks = look_at(pairs.masks)
    good = [look for look in looks if isinstance(look, Look)]
    wrong = [*pairs.wrong, *(look for look in looks if isinstance(look, str)), *_other_sizes(pairs, images, looks)]
    notices: tuple[str, ...] = ()
    coding = None
    if data.mask_classes is not None:
        coding = said_coding(data.mask_classes, data.mask_ignore, good)
        wrong += _unknown_values(pairs, looks, coding)
    elif not wrong:
        coding, notices = found_coding(good, data.mask_ignore)
    if wrong:
        total = len(pairs.images) + len(pairs.wrong)
        more = [f"  and {len(wrong) - _MOST_LISTED} more"] if len(wrong) > _MOST_LISTED else []
        raise DataError(
            "\n".join(
                [
                    f"{len(wrong)} of {total} pairs of images and masks of {source} can't be used:",
                    *(f"  {line}" for line in wrong[:_MOST_LISTED]),
                    *more,
                    "Every image needs one mask, a file of its name and its size, with values that are classes: see "
                    "docs/masks.md.",
                ]
            )
        )
    assert coding is not None
    if data.mask_classes is not None and _one_class(good, coding):
        raise DataError(f"all masks of {source} have one class only, so there is nothing to learn")
    return coding, notices


def _other_sizes(pairs: Pairs, images: FileImages, looks: list[Look | str]) -> list[str]:
    """Say which masks have another size than their images; decoding tells of images that can't be read."""
    wrong = []
    facts = file_facts(images)
    for path, fact, look in zip(pairs.masks, facts, looks, strict=True):
        if isinstance(look, str) or isinstance(fact.header, str):
            continue
        height, width = fact.header.height, fact.header.width
        if look.size != (height, width):
            has = f"{look.size[1]} × {look.size[0]}"
            wrong.append(f"{path}: has {has} pixels, and its image {width} × {height}")
    return wrong


def _unknown_values(pairs: Pairs, looks: list[Look | str], coding: Coding) -> list[str]:
    """Say which masks have values that are neither classes nor ignored."""
    wrong = []
    for path, look in zip(pairs.masks, looks, strict=True):
        if isinstance(look, str):
            continue
        if look.values is None:
            wrong.append(f"{path}: has more than 256 values; was it smoothed, or saved as JPEG?")
            continue
        unknown = coding.unknown(coding.normal(np.array(sorted(look.values)), look.colours).tolist())
        if unknown:
            wrong.append(f"{path}: values that are no classes: {listed(unknown, _MOST_VALUES)}")
    return wrong


def _one_class(looks: list[Look], coding: Coding) -> bool:
    found = {value for look in looks for value in coding.normal(np.array(sorted(look.values or ())), look.colours)}
    return len(found & set(coding.values)) < 2
