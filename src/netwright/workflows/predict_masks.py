"""`netwright predict` for masks: pictures of any size -> mask files, and each class's share of the pixels."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from netwright.data.labelled import Array
from netwright.deployment.mask_predictor import MaskPredictor
from netwright.deployment.prediction import MaskPrediction
from netwright.deployment.predictor import Predictor
from netwright.errors import DataError, InputError
from netwright.files.atomic import write_atomic
from netwright.report.overlay import overlay
from netwright.workflows.png import png_bytes

OVERLAYS = "overlays"


def predict_masks(predictor: Predictor, files: Sequence[str], out: Path | None = None) -> Iterator[dict[str, Any]]:
    """Yield one mapping a picture: source, each class's share of its pixels, and the `mask` and `overlay` that were
    written below `out`; or an error.

    A mask is a PNG with the number of its class in each pixel, shown in the classes' colours. Raises InputError when
    two pictures would have the same file."""
    made = MaskPredictor(predictor)
    names = _file_names(files) if out is not None else []
    classes = predictor.bundle.task.class_names
    for place, source in enumerate(files):
        try:
            pixels = made.picture(Path(source))
            mask = made.mask(pixels)
        except DataError as error:
            yield MaskPrediction(source, classes, error=str(error)).to_mapping()
            continue
        answer = MaskPrediction(source, classes, mask).to_mapping()
        if out is not None:
            answer |= _write(out, names[place], pixels, mask)
        yield answer


def refuse_masks(predictor: Predictor, what: str) -> None:
    """Raise InputError for a network that gives masks, where there is nothing of its kind for them."""
    if predictor.bundle.task.name == "segmentation":
        raise InputError(
            f"{what} is not there for networks that give masks; netwright predict RUN IMAGES --out-masks FOLDER is"
        )


def _write(out: Path, name: str, pixels: Array, mask: Array) -> dict[str, str]:
    (out / OVERLAYS).mkdir(parents=True, exist_ok=True)
    paths = {"mask": out / name, "overlay": out / OVERLAYS / name}
    write_atomic(paths["mask"], png_bytes(mask, with_colours=True))
    write_atomic(paths["overlay"], png_bytes(overlay(pixels, mask)))
    return {what: str(path) for what, path in paths.items()}


def _file_names(files: Sequence[str]) -> list[str]:
    names = [f"{Path(source).stem}.png" for source in files]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"several pictures would be written as {twice[0]}; predict them one folder at a time")
    return names
