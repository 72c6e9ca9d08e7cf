"""What can be said of images before decoding them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.data.decode import GRAY_MODES, Header, read_header
from netwright.data.file_facts import file_facts
from netwright.data.items import as_picture, read_item
from netwright.data.labelled import ArrayImages, FileImages, ImageSource, ItemImages, Rows
from netwright.errors import DataError

SCANNED_ITEMS = 64


@dataclass(frozen=True)
class Scan:
    """Distinct (height, width), modes, all gray or not, the bad images with the reason, how many have frames.

    `rows_by_format` are the rows of each file format; none where the images are no files."""

    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    gray: bool
    bad: dict[int, str]
    num_animated: int = 0
    rows_by_format: dict[str, list[int]] = field(default_factory=dict)


def scan(images: ImageSource, rows: Rows) -> Scan:
    """Look at sizes and modes: all files' headers, arrays by their shape, 64 evenly spaced items of data sets."""
    if isinstance(images, ArrayImages):
        _, height, width, channels = images.pixels.shape
        mode = f"{images.pixels.dtype} {'gray' if channels == 1 else 'RGB'}"
        return Scan(Counter({(height, width): len(rows)}), Counter({mode: len(rows)}), channels == 1, {})
    if isinstance(images, FileImages):
        facts = file_facts(images)
        return _summary((row, _of_file(images, int(row), facts[row].header)) for row in rows)
    assert isinstance(images, ItemImages)
    some = rows[np.unique(np.linspace(0, len(rows) - 1, SCANNED_ITEMS).astype(int))]
    return _summary((row, _of_item(images, int(row))) for row in some)


def _of_file(images: FileImages, row: int, header: Header | str) -> Header | DataError:
    return DataError(f"{images.paths[row]}: {header}") if isinstance(header, str) else header


def _of_item(images: ItemImages, row: int) -> Header | DataError:
    try:
        picture = as_picture(read_item(images, row, 0, 0))
        if isinstance(picture, np.ndarray):
            gray = picture.ndim == 2 or picture.shape[2] == 1
            return Header(picture.shape[0], picture.shape[1], "L" if gray else "RGB", False)
        return read_header(picture)
    except DataError as error:
        return error


def _summary(found: Iterable[tuple[Any, Header | DataError]]) -> Scan:
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    bad: dict[int, str] = {}
    animated = 0
    formats: dict[str, list[int]] = {}
    for row, header in found:
        if isinstance(header, DataError):
            bad[int(row)] = str(header)
            continue
        sizes[header.height, header.width] += 1
        modes[header.mode] += 1
        animated += header.animated
        if header.format:
            formats.setdefault(header.format, []).append(int(row))
    return Scan(sizes, modes, bool(modes) and set(modes) <= set(GRAY_MODES), bad, animated, formats)
