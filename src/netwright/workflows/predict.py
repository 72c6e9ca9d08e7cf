"""`netwright predict`: files, folders or arrays -> labels and probabilities."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.data.discover import image_files
from netwright.deployment.predictor import Prediction, Predictor, load_predictor
from netwright.errors import DataError, InputError
from netwright.report.predictions import plot_predictions
from netwright.runs.folder import RunFolder
from netwright.runtime.machine import applied, choose_machine
from netwright.workflows.run import Run, is_path_list, load

MOST_PLOTTED = 12


def predict_files(
    run: str | Path, paths: Sequence[str], *, top: int = 5, plot: Path | None = None
) -> dict[str, Any]:
    """Return the contract's predict JSON for files and folders; `plot` also draws the first images beside their
    probabilities. Raises InputError when there is nothing to read."""
    files = [file for path in paths for file in image_files(Path(path))]
    if not files:
        raise DataError(f"there is no image in {', '.join(paths)}; give image files, or folders of them")
    return _predict(open_run(run), files, [str(file) for file in files], top, plot)


def open_run(run: str | Path) -> Run:
    """Take a run's folder or name, or a bundle's folder."""
    path = Path(run)
    if (path / "bundle.json").is_file():
        return Run(RunFolder(path.parent)) if path.name == "bundle" else _refuse_lone(path)
    return load(run)


def _refuse_lone(path: Path) -> Run:
    raise InputError(f"{path} is a bundle outside a run folder; name its folder `bundle`")


def predict_images(run: Run, images: Any, top: int | None = None) -> list[dict[str, Any]]:
    """Return one mapping an image; see `Run.predict`."""
    if is_path_list(images):
        given = [images] if isinstance(images, (str, Path)) else list(images)
        return list(predict_files_of(run, given, top)["predictions"])
    sources = as_sources(images)
    return list(_predict(run, sources, [str(place) for place in range(len(sources))], top, None)["predictions"])


def predict_files_of(run: Run, paths: Sequence[str | Path], top: int | None) -> dict[str, Any]:
    """Predict an opened run's answer for files and folders."""
    files = [file for path in paths for file in image_files(Path(path))]
    return _predict(run, files, [str(file) for file in files], top, None)


def as_sources(images: Any) -> list[Any]:
    """Split a batch into single images: arrays (N, H, W[, C]), tensors (N, C, H, W), sequences of PIL images."""
    if hasattr(images, "detach"):  # a torch tensor, without importing torch for arrays
        pixels = images.detach().cpu().numpy()
        images = np.moveaxis(pixels, 1, -1) if pixels.ndim == 4 else pixels
    if isinstance(images, np.ndarray) and images.ndim not in (3, 4):
        raise DataError(f"the array has shape {images.shape}; expected (N, H, W) or (N, H, W, C): one image is images[None]")
    return list(images)


def _predict(run: Run, sources: Sequence[Any], names: Sequence[str], top: int | None, plot: Path | None) -> dict[str, Any]:
    machine = choose_machine(run.recipe.runtime)
    with applied(machine):
        predictor = load_predictor(run.folder.bundle, machine, model=run.own.model, transform=run.own.transform)
        answers = list(predictor.predict(sources, names))
    if plot is not None:
        _plot(predictor, sources, answers, top, plot)
    return {"predictions": [answer.to_mapping(top) for answer in answers], "calibrated": False}


def _plot(predictor: Predictor, sources: Sequence[Any], answers: Sequence[Prediction], top: int | None, path: Path) -> None:
    """Draw the first readable images as the network sees them, before normalisation."""
    shown = [place for place, answer in enumerate(answers) if answer.error is None][:MOST_PLOTTED]
    if not shown:
        raise DataError("no image could be read, so there is nothing to plot")
    pictures = [predictor.transform.decode(sources[place]) for place in shown]
    plot_predictions(pictures, [answers[place].to_mapping(top) for place in shown], path, top=top or 5)
