"""Some images of a run's own data again, as its network sees them: to compare an export on, or to calibrate it with."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from netwright.data.labelled import LabelledData
from netwright.data.prepare import PreparedData, prepare_like
from netwright.data.shown import shown_masks, shown_pixels
from netwright.data.splits import read_manifest
from netwright.deployment.predictor import Predictor
from netwright.errors import NetwrightError
from netwright.runs.folder import RunFolder
from netwright.workflows.own import Own
from netwright.workflows.reopen import open_own_data


@dataclass(frozen=True)
class SplitImages:
    """`images` (N, h, w, C) before scaling, with `targets` (N,), or masks (N, h, w), and names; or why there are
    none."""

    images: torch.Tensor | None = None
    targets: npt.NDArray[Any] | None = None
    names: tuple[str, ...] = ()
    prepared: PreparedData | None = None
    why_not: str = ""


def open_split(folder: RunFolder | None, own: Own, predictor: Predictor, split: str, most: int) -> SplitImages:
    """Open at most so many images of a split, evenly spaced. What stands in the way is told, not raised."""
    if folder is None:
        return SplitImages(why_not="a bundle alone has no data")
    try:
        labelled = open_own_data(folder, own, folder.read_recipe())
        rows = read_manifest(folder.split, labelled)
        if split not in rows:
            return SplitImages(why_not=f"{folder.path} has no {split} split")
        return _some(labelled, rows[split], own, predictor, split, most)
    except NetwrightError as error:
        return SplitImages(why_not=f"the data of {folder.path} are not at hand: {error}")


def _some(
    labelled: LabelledData, rows: npt.NDArray[np.int64], own: Own, predictor: Predictor, split: str, most: int
) -> SplitImages:
    chosen = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)]
    prepared = prepare_like(labelled, {split: chosen}, predictor.transform, own.transform)
    names = tuple(str(labelled.sample_names[row]) for row in chosen)
    targets = labelled.targets[chosen] if labelled.masks is None else shown_masks(prepared, chosen)
    return SplitImages(shown_pixels(prepared, chosen), targets, names, prepared)
