"""`netwright predict` for masks: pictures of any size -> mask files, and each class's share of the pixels."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.data.labelled import Array
from netwright.deployment.mask_predictor import MaskPredictor
from netwright.deployment.prediction import ANSWERING, MaskPrediction
from netwright.deployment.predictor import Predictor
from netwright.errors import DataError, InputError
from netwright.files.atomic import write_atomic
from netwright.report.overlay import legend, overlay
from netwright.workflows.png import png_bytes

OVERLAYS = "overlays"


def predict_masks(
    predictor: Predictor,
    files: Iterable[str],
    names: Mapping[str, Path] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Iterator[dict[str, Any]]:
    """Yield one mapping a picture: source, each class's share of its pixels, and the `mask` and `overlay` that were
    written, where `names` has the masks' files (see `mask_files`); or an error.

    A mask is a PNG with the number of its class in each pixel, shown in the classes' colours. `tell` gets, once, which
    colour is which class in overlays, and what a user should know of masks made of tiles."""
    made = MaskPredictor(predictor)
    classes = predictor.bundle.task.class_names
    told = False
    if names is not None:
        tell(f"colours of the overlays: {legend(classes)}")
    for source in files:
        try:
            pixels = made.picture(Path(source))
            mask = made.mask(pixels)
        except DataError as error:
            yield MaskPrediction(source, classes, error=str(error)).to_mapping()
            continue
        if made.notice is not None and not told:
            tell(made.notice)
            told = True
        answer = MaskPrediction(source, classes, mask).to_mapping()
        if names is not None:
            answer |= _write(names[source], pixels, mask)
        yield answer


def masks_of(predictor: Predictor, sources: Sequence[Any], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one mapping an image for Python: source, each class's share of its pixels, and the `mask` itself, (H, W)
    uint8; of a file that can't be read an error. Raises DataError for an array that is no image."""
    made = MaskPredictor(predictor)
    classes = predictor.bundle.task.class_names
    for source, name in zip(sources, names, strict=True):
        try:
            mask = made.mask(made.picture(source))
        except DataError as error:
            if not isinstance(source, (str, Path)):  # a file may be damaged by accident
                raise
            yield MaskPrediction(name, classes, error=str(error)).to_mapping()
            continue
        yield MaskPrediction(name, classes, mask).to_mapping() | {"mask": mask}


def refuse_masks(predictor: Predictor, what: str) -> None:
    """Raise InputError for a network that gives masks, where there is nothing of its kind for them."""
    if ANSWERING[predictor.bundle.task.name].each_pixel:
        raise InputError(
            f"{what} is not there for networks that give masks; netwright predict RUN IMAGES --out-masks FOLDER is"
        )


def _write(path: Path, pixels: Array, mask: Array) -> dict[str, str]:
    (path.parent / OVERLAYS).mkdir(parents=True, exist_ok=True)
    paths = {"mask": path, "overlay": path.parent / OVERLAYS / path.name}
    write_atomic(paths["mask"], png_bytes(mask, with_colours=True))
    write_atomic(paths["overlay"], png_bytes(overlay(pixels, mask)))
    return {what: str(path) for what, path in paths.items()}


def mask_files(files: Sequence[str], out: Path) -> dict[str, Path]:
    """Return source -> the file of its mask below `out`. Raises InputError when two pictures would have the same."""
    names = Counter(f"{Path(source).stem}.png" for source in files)
    name, times = names.most_common(1)[0]
    if times > 1:
        raise InputError(f"several pictures would be written as {name}; predict them one folder at a time")
    return {source: out / f"{Path(source).stem}.png" for source in files}
