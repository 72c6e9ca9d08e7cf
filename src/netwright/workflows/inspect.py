"""`netwright inspect`: the layers of a run's network, and, with images, where it looks and what its layers see."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.data.image_paths import image_files
from netwright.deployment.predictor import Predictor
from netwright.errors import DataError, InputError, NetwrightError, RecipeError
from netwright.inspection.filters import feature_maps, first_filters
from netwright.inspection.summary import summarize
from netwright.training.fine_tuning import freeze_for_good, trained_stages
from netwright.workflows.explain import Explanations, explain_pixels, network_images, seen_pixels
from netwright.workflows.own import Own
from netwright.workflows.predict import locate, opened

MOST_IMAGES = 12
MOST_FILTERS, MOST_MAPS = 64, 16


def summarize_run(run: str | Path, own: Own | None = None, *, depth: int | None = None) -> dict[str, Any]:
    """Return the table of layers of a run's or a bundle's network; see `inspection.summary.Summary`."""
    with opened(run, own or Own()) as predictor:
        return _summary(predictor, depth, run)


def inspect(
    run: str | Path,
    paths: Sequence[str] = (),
    *,
    out: Path | None = None,
    layer: str | None = None,
    label: str | None = None,
    depth: int | None = None,
) -> dict[str, Any]:
    """Return the table of layers, and what was drawn of image files and folders into `out` (default: `inspection`).

    Drawn are the first 12 images that can be read: Grad-CAM of each for its likeliest class or for `label`, the first
    convolution's filters, and each image's feature maps. `layer` is where Grad-CAM and feature maps look; None is the
    last one with several places, and the first convolution. Without images but with `out`, the filters alone are drawn.
    Raises DataError when no image can be read, InputError for a network without convolution or one for rows."""
    files = [file for path in paths for file in image_files(Path(path))]
    if paths and not files:
        raise DataError(f"there is no image in {', '.join(paths)}; give image files, or folders of them")
    with opened(run, Own()) as predictor:
        takes = "rows" if predictor.transform.kind == "rows" else "images"
        result: dict[str, Any] = {"run": str(run), "takes": takes, "summary": _summary(predictor, depth, run)}
        if not files and out is None:
            return result
        if takes == "rows":
            raise InputError(
                f"{run} takes the rows of a table, which are no pictures; which columns it goes by is in its report: "
                f"netwright report {run}"
            )
        folder = out or Path("inspection")
        pictures = [_draw_filters(predictor, folder)]
        if files:
            pixels, sources, errors = _read(predictor, files[:MOST_IMAGES])
            explanations = explain_pixels(predictor, pixels, sources, label=label, layer=layer)
            pictures += _draw_images(predictor, pixels, explanations, layer or pictures[0]["layer"], folder)
            result |= {"images": _images(explanations), "errors": errors, "left_out": max(0, len(files) - MOST_IMAGES)}
    return result | {"pictures": pictures}


def _summary(predictor: Predictor, depth: int | None, run: str | Path) -> dict[str, Any]:
    """Return the table; of a run it says what was frozen and, as `stages`, what was trained from which epoch on.

    A bundle alone does not know how it was trained."""
    bundle, (_, folder) = predictor.bundle, locate(run)
    stages: list[dict[str, Any]] = []
    trained = [parameter for parameter in predictor.network.parameters() if parameter.requires_grad]
    if folder is not None:
        training = folder.read_recipe().training
        with contextlib.suppress(RecipeError):  # a network of the user's own may have no head to be found
            stages = [asdict(stage) for stage in trained_stages(predictor.network, training)]
            freeze_for_good(predictor.network, training)
    table = summarize(predictor.network, (bundle.in_channels, *bundle.image_size), depth=depth)
    for parameter in trained:  # Grad-CAM needs them so
        parameter.requires_grad_(True)
    return table.to_mapping() | {"stages": stages}


def _read(predictor: Predictor, files: Sequence[Path]) -> tuple[Tensor, list[str], list[dict[str, str]]]:
    """Decode files; return pixels (B, H, W, C), the names of those that could be read, and why others could not."""
    pixels, sources, errors = [], [], []
    for file in files:
        try:
            pixels.append(seen_pixels(predictor, file))
            sources.append(str(file))
        except NetwrightError as error:
            errors.append({"source": str(file), "message": str(error)})
    if not pixels:
        raise DataError(f"no image could be read: {errors[0]['message']}")
    return torch.stack(pixels), sources, errors


def _draw_filters(predictor: Predictor, folder: Path) -> dict[str, str]:
    from netwright.report.tiles import plot_tiles  # loads matplotlib: 0.4 s

    tiles = first_filters(predictor.network, MOST_FILTERS)
    height, width = tiles.tiles.shape[1:3]
    some = "" if tiles.num_channels == len(tiles.tiles) else f"the first {len(tiles.tiles)} of {tiles.num_channels}; "
    title = f"What the first convolution looks for ({tiles.layer})"
    note = f"{height} × {width} weights each; {some}middle gray is 0, every filter has its own contrast"
    plot_tiles(tiles, folder / "filters.png", title=title, note=note)
    return {"kind": "filters", "layer": tiles.layer, "path": str(folder / "filters.png")}


def _draw_images(
    predictor: Predictor, pixels: Tensor, explanations: Explanations, layer: str, folder: Path
) -> list[dict[str, str]]:
    """Draw all images with their Grad-CAM, and the feature maps of each at `layer`."""
    from netwright.report.grad_cam import plot_grad_cam
    from netwright.report.tiles import plot_tiles

    path = folder / "grad-cam.png"
    plot_grad_cam(explanations.images, path, layer=explanations.layer, calibrated=explanations.calibrated)
    drawn = [{"kind": "grad_cam", "layer": explanations.layer, "path": str(path)}]
    for number, (image, each) in enumerate(zip(network_images(predictor, pixels), explanations.images, strict=True), 1):
        tiles = feature_maps(predictor.network, image, layer, MOST_MAPS)
        height, width = tiles.tiles.shape[1:3]
        shown = f"the {len(tiles.tiles)} most active of {tiles.num_channels} channels"
        path = folder / f"feature-maps-{number}.png"
        plot_tiles(
            tiles,
            path,
            title=f"What {layer} sees of {Path(each.source).name}",
            note=f"{height} × {width}; {shown}; black and white: the smallest and largest value of them all",
            labels=[f"channel {place}" for place in tiles.places],
        )
        drawn.append({"kind": "feature_maps", "layer": layer, "path": str(path), "source": each.source})
    return drawn


def _images(explanations: Explanations) -> list[dict[str, Any]]:
    """Return for each image what was explained; `peak` is (row, column) of the map's highest place, as fractions."""
    rows = []
    for each in explanations.images:
        row, column = np.unravel_index(int(each.heat.argmax()), each.heat.shape)
        height, width = each.heat.shape
        peak = [(float(row) + 0.5) / height, (float(column) + 0.5) / width] if each.heat.any() else None
        rows.append(
            {
                "source": each.source,
                "label": each.label,
                "probability": each.probability,
                "predicted": each.predicted,
                "peak": peak,
            }
        )
    return rows
