"""What a report shows of the inside of a run's network: layers, what misled it, its first filters."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import nn

from netwright.data.labelled import LabelledData
from netwright.data.prepare import prepare_like
from netwright.deployment.predictor import Predictor
from netwright.errors import NetwrightError
from netwright.inspection.filters import first_filters
from netwright.inspection.summary import summarize
from netwright.runs.outputs import StoredOutputs
from netwright.workflows.explain import explain_rows, surest_mistakes
from netwright.workflows.own import Own
from netwright.workflows.row_importance import dependence, importance

MOST_MISTAKES, MOST_FILTERS = 6, 64


@dataclass(frozen=True)
class Sheet:
    """A titled group of pictures, each a PNG with its width and height in pixels and what it shows in words."""

    title: str
    text: str
    pictures: tuple[tuple[bytes, int, int, str], ...]


@dataclass(frozen=True)
class Inside:
    """`layers` as `inspection.summary` records them, where it can, and sheets; `missing` says why one is not there."""

    layers: dict[str, Any] | None
    sheets: tuple[Sheet, ...]
    missing: tuple[str, ...]


def look_inside(predictor: Predictor, labelled: LabelledData | None, own: Own, val: StoredOutputs | None) -> Inside:
    """Look into a loaded network: its layers, Grad-CAM of its surest mistakes on val, its first filters.

    `labelled` are the run's data, opened and not yet decoded; `val` is what it said of them, as the run keeps it."""
    bundle = predictor.bundle
    layers = layers_of(predictor.network, (bundle.in_channels, *bundle.image_size))
    sheets: list[Sheet] = []
    missing: list[str] = []
    if predictor.transform.kind == "rows":
        return Inside(layers, _columns(predictor, labelled, val), ())
    try:
        sheets.append(_filters(predictor))  # first: a network without convolution has no Grad-CAM either
        sheets[:0] = _mistakes(predictor, labelled, own, val)
    except NetwrightError as error:
        missing.append(str(error))
    return Inside(layers, tuple(sheets), tuple(missing))


def _columns(predictor: Predictor, labelled: LabelledData | None, val: StoredOutputs | None) -> tuple[Sheet, ...]:
    """Return pictures of the columns that a network for rows goes by, measured on val."""
    if labelled is None or val is None:
        return ()
    from netwright.report.row_pictures import draw_dependence, draw_importance  # loads matplotlib: 0.4 s

    names, rises, error = importance(predictor, labelled, val.rows)
    order = [names[place] for place in np.argsort(-rises.mean(axis=1))]
    panels = dependence(predictor, labelled, val.rows, order)
    classes = labelled.class_names
    says = f"probability of {classes[-1]}" if classes else "mean answer"
    text = (
        f"By how much the {error} on val rises when one column is shuffled and the others stay (the mean of ten times, "
        "and their standard deviation). Columns that say the same share their importance."
    )
    shown = (
        "The mean answer for rows of val when one column is set to a value and the others stay: what the network has "
        "learnt, also where no such row is."
    )
    pictures = [
        figure_picture(draw_importance(names, rises, unit=error)),
        figure_picture(draw_dependence(panels, says=says)),
    ]
    return (
        Sheet("Which columns it goes by", text, ((*pictures[0], "importance of the columns"),)),
        Sheet("How its answer depends on them", shown, ((*pictures[1], f"{says} by column"),)),
    )


def figure_picture(figure: Any) -> tuple[bytes, int, int]:
    """Return a figure as PNG, with its size in pixels as it is shown."""
    from netwright.report.style import png_bytes

    content = png_bytes(figure)
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
    scale = min(1.0, 760 / width)
    return content, round(width * scale), round(height * scale)


def layers_of(network: nn.Module, input_shape: Sequence[int]) -> dict[str, Any] | None:
    """Return the table of layers; None for a network of the user's own that takes no black images."""
    try:
        return summarize(network, input_shape).to_mapping()
    except Exception:  # whatever a forward of the user's own raises: the report goes without the table
        return None


def _mistakes(predictor: Predictor, labelled: LabelledData | None, own: Own, val: StoredOutputs | None) -> list[Sheet]:
    if labelled is None or val is None or predictor.bundle.task.name != "classification":
        return []
    rows = surest_mistakes(val, MOST_MISTAKES)
    if not len(rows):
        return []
    prepared = prepare_like(labelled, {"val": rows}, predictor.transform, own.transform)
    from netwright.report.grad_cam import beside  # loads matplotlib: 0.4 s

    found = explain_rows(predictor, prepared, rows)
    pictures = tuple(
        _picture(
            beside(each.pixels, each.heat),
            f"{each.source}: {each.label} ({100 * each.probability:.1f} %), label {each.truth}"
            + ("" if each.heat.any() else "; no place speaks for it"),
        )
        for each in found.images
    )
    text = (
        "The surest mistakes on val, each image beside its map. Bright is what speaks for the wrong class that the "
        f"network named (Grad-CAM, Selvaraju et al. 2017, at {found.layer}), by image; the line is at half. It says "
        "where, not why."
    )
    return [Sheet("What misled it", text, pictures)]


def _filters(predictor: Predictor) -> Sheet:
    from netwright.report.tiles import mosaic

    tiles = first_filters(predictor.network, MOST_FILTERS)
    height, width = tiles.tiles.shape[1:3]
    shown = f"{len(tiles.tiles)} of {tiles.num_channels} filters of {tiles.layer}, {height} × {width} weights each"
    text = "The weights of the first convolution. Middle gray is 0, and every filter has its own contrast."
    return Sheet("Its first filters", text, (_picture(mosaic(tiles), shown),))


def _picture(pixels: npt.NDArray[np.uint8], words: str) -> tuple[bytes, int, int, str]:
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    picture.thumbnail((720, 720))
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), *picture.size, words
