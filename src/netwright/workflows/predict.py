"""`netwright predict`: files, folders or arrays -> labels and probabilities."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from netwright.config.engines import ENGINES, PRECISIONS, EngineName, Precision
from netwright.config.sections import Runtime
from netwright.data.image_paths import image_files, image_paths
from netwright.deployment.answer_tables import class_columns, csv_text, mask_columns, number_columns
from netwright.deployment.archive import is_bundle
from netwright.deployment.engine_choice import EngineChoice
from netwright.deployment.prediction import ANSWERING, Answer
from netwright.deployment.predictor import Predictor, load_predictor
from netwright.deployment.stream import predict_array, predict_stream
from netwright.errors import DataError, InputError, MachineError, WeightsError, did_you_mean, listed
from netwright.runs.folder import RunFolder, find_run
from netwright.runtime.machine import applied, machine_for_predictions
from netwright.workflows.own import Own
from netwright.workflows.predict_masks import mask_files, masks_of, predict_masks
from netwright.workflows.predict_rows import predict_rows

MOST_PLOTTED = 12


def predict_files(
    run: str | Path,
    paths: Sequence[str],
    *,
    top: int | None = 5,
    plot: Path | None = None,
    out_masks: Path | None = None,
    batch_size: int | None = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    standard_input: BinaryIO | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Return the contract's predict JSON for images; `run` is a run or a bundle, see `locate`.

    `paths` are files, folders, patterns or `-`, see `data.image_paths`. `plot` also draws the first images beside their
    probabilities; `out_masks` is the folder that masks and their overlays are written into, of a network that gives
    some. `engine` and `precision` are as in `opened`; `tell` gets what a user should know of them. For more answers
    than memory holds: `predict_into`. Raises DataError when there is no image."""
    with opened(run, Own(), engine, precision) as predictor:
        if predictor.transform.kind == "rows":
            answers = [answer for some in predict_rows(predictor, paths) for answer in some]
            return as_json(answers, top, predictor.bundle.temperature is not None)
        files = list(image_paths(paths, standard_input))
        if not files:
            raise DataError(f"there is no image in {', '.join(paths)}; give image files, or folders of them")
        if out_masks is not None or ANSWERING[predictor.bundle.task.name].each_pixel:
            if plot is not None:
                raise InputError(
                    "--plot draws probabilities, and masks have one for each pixel; use --out-masks FOLDER"
                )
            if engine not in ("auto", "torch"):
                raise InputError(f"masks are computed by torch, and --engine is {engine}; leave it out")
            names = None if out_masks is None else mask_files(files, out_masks)
            return {"predictions": list(predict_masks(predictor, files, names, tell)), "calibrated": False}
        answers = _answers(EngineChoice(predictor, engine, tell), files, files, batch_size)
        if plot is not None:
            _plot(predictor, files, answers, top, plot)
        calibrated = predictor.bundle.temperature is not None
    return as_json(answers, top, calibrated)


def csv_lines(predictions: Sequence[dict[str, Any]], top: int | None) -> Iterator[str]:
    """Yield predictions as the lines of a CSV, a column a class in the order of their names, numbers as numbers."""
    if any("value" in each for each in predictions):
        return csv_text(predictions, number_columns())
    shares = next((each["shares"] for each in predictions if "shares" in each), None)
    if shares is not None:
        return csv_text(predictions, mask_columns(tuple(shares)))
    names = {name for each in predictions for name in each.get("probabilities", ())}
    return csv_text(predictions, class_columns(sorted(names, key=_by_number), top))


def _by_number(name: str) -> tuple[int, str]:
    """Sort 2 before 10, and words after numbers by the alphabet."""
    return (int(name), "") if name.isdecimal() else (sys.maxsize, name)


def named_sources(images: Any) -> tuple[list[Any], list[str]]:
    """Return what a predictor can decode and a name for each: the files of paths, or images given, by their place."""
    if is_path_list(images):
        given = [images] if isinstance(images, (str, Path)) else list(images)
        files = [file for path in given for file in image_files(Path(path))]
        return list(files), [str(file) for file in files]
    sources = as_sources(images)
    return sources, [str(place) for place in range(len(sources))]


def predict_images(
    folder: RunFolder, own: Own, images: Any, top: int | None = None, engine: EngineName = "auto"
) -> list[dict[str, Any]]:
    """Return one mapping an image; `images` are paths, arrays (N, H, W[, C]), tensors (N, C, H, W) or PIL images.

    Where the network takes rows they are a DataFrame, or paths of tables, and there is one mapping a row. Where it
    gives masks the mapping also has each image's `mask`, (H, W) uint8, the numbers of the classes."""
    with opened(folder.path, own, engine) as predictor:
        if predictor.transform.kind == "rows":
            tables = list(images) if isinstance(images, (list, tuple)) else [images]
            return [answer.to_mapping(top) for some in predict_rows(predictor, tables) for answer in some]
        sources, names = named_sources(images)
        if ANSWERING[predictor.bundle.task.name].each_pixel:
            return list(masks_of(predictor, sources, names))
        choice = EngineChoice(predictor, engine)
        if isinstance(images, np.ndarray) and predictor.takes_whole(images):
            batches = predict_array(predictor, images, choice=choice)
            return [answer.to_mapping(top) for some in batches for answer in some]
        answers = _answers(choice, sources, names)
    wrong = [answer for answer in answers if answer.error is not None]
    if wrong and not is_path_list(images):  # a file may be damaged by accident, an array that does not fit is a mistake
        raise DataError(f"image {wrong[0].source}: {wrong[0].error}")
    return [answer.to_mapping(top) for answer in answers]


def _answers(
    choice: EngineChoice, sources: Sequence[Any], names: Sequence[str], batch_size: int | None = None
) -> list[Answer]:
    batches = predict_stream(choice.predictor, zip(sources, names, strict=True), batch_size, choice)
    return [answer for some in batches for answer in some]


@contextmanager
def opened(
    run: str | Path, own: Own, engine: EngineName = "torch", precision: Precision = "auto"
) -> Iterator[Predictor]:
    """Load the predictor of a run, computing as it was trained, or of a lone bundle, in fp32, on what is here.

    `engine` says where it will compute, onnx and openvino on the CPU; `EngineChoice` is who puts it in. `precision`
    other than auto takes the place of the run's, and auto is fp32 for onnx. Raises InputError for other names,
    MachineError for bf16 that the hardware has not."""
    for what, given, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if given not in known:
            raise InputError(f"{what} is {given!r}{did_you_mean(given, known)}; expected one of {listed(known)}")
    bundle, folder = locate(run)
    # a bundle has to answer alike on every machine; bf16, which some have, has to be asked for
    runtime = folder.read_recipe().runtime if folder else Runtime(precision="fp32")
    if engine in ("onnx", "openvino"):
        runtime = msgspec.structs.replace(runtime, device="cpu")
    if engine == "onnx" and precision == "auto":  # ONNX Runtime has no bf16 on CPUs
        precision = "fp32"
    if precision != "auto":
        runtime = msgspec.structs.replace(runtime, precision=precision)
    machine = machine_for_predictions(runtime)
    if precision == "bf16" and machine.precision != "bf16":
        raise MachineError("this machine's hardware has no bf16, which would be emulated, slowly; use --precision fp32")
    with applied(machine):
        predictor = load_predictor(bundle, machine, model=own.model, transform=own.transform)
        takes_rows = predictor.transform.kind == "rows"
        gives_masks = ANSWERING[predictor.bundle.task.name].each_pixel
        if engine in ("onnx", "openvino") and (takes_rows or gives_masks):
            what = "the rows of a table" if takes_rows else "masks"
            raise InputError(f"{what} are computed by torch alone, and the engine is {engine}; leave it out")
        yield predictor


def locate(run: str | Path) -> tuple[Path, RunFolder | None]:
    """Return the bundle and the run that it belongs to, of a run's folder or name, or of a lone bundle, folder or zip.

    Raises InputError when there is neither, or the run is not finished."""
    path = Path(run)
    if is_bundle(path):
        return path, None
    if path.is_file():
        raise WeightsError(f"{path} is no bundle; give a run, a bundle's folder, or the zip file of one")
    folder = find_run(run)
    return folder.finished_bundle(), folder


def as_json(answers: Sequence[Answer], top: int | None, calibrated: bool) -> dict[str, Any]:
    """Return the contract's JSON object; `calibrated` says whether the probabilities went through a temperature."""
    return {"predictions": [answer.to_mapping(top) for answer in answers], "calibrated": calibrated}


def as_sources(images: Any) -> list[Any]:
    """Split a batch into single images: arrays (N, H, W[, C]), tensors (N, C, H, W), sequences of PIL images."""
    if hasattr(images, "detach"):  # a tensor
        pixels = images.detach().cpu().numpy()
        images = np.moveaxis(pixels, 1, -1) if pixels.ndim == 4 else pixels
    if isinstance(images, np.ndarray) and images.ndim not in (3, 4):
        raise DataError(
            f"the array has shape {images.shape}; expected (N, H, W) or (N, H, W, C): one image is images[None]"
        )
    return list(images)


def is_path_list(images: Any) -> bool:
    """Say whether images were given as paths."""
    many = isinstance(images, Sequence) and not isinstance(images, (str, bytes))
    return isinstance(images, (str, Path)) or (many and all(isinstance(item, (str, Path)) for item in images))


def _plot(predictor: Predictor, sources: Sequence[Any], answers: Sequence[Answer], top: int | None, path: Path) -> None:
    """Draw the first readable images as the network sees them, before normalisation."""
    from netwright.report.predictions import plot_predictions  # loads matplotlib: 0.4 s

    shown = [place for place, answer in enumerate(answers) if answer.error is None][:MOST_PLOTTED]
    if not shown:
        raise DataError("no image could be read, so there is nothing to plot")
    transform = predictor.transform
    pictures = [transform.view(transform.decode(sources[place])) for place in shown]
    plot_predictions(pictures, [answers[place].to_mapping(top) for place in shown], path, top=top or 5)
