"""Grad-CAM for images of a run: those that are given, and the most confident mistakes on val."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from netwright.data.custom import custom_input
from netwright.data.labelled import Rows
from netwright.data.prepare import PreparedData, prepare_like
from netwright.deployment.predictor import Predictor
from netwright.errors import DataError, InputError, did_you_mean, listed
from netwright.inspection.grad_cam import grad_cam, last_spatial_layer
from netwright.runs.folder import RunFolder
from netwright.runs.outputs import StoredOutputs, load_outputs
from netwright.workflows.own import Own
from netwright.workflows.predict import named_sources, opened
from netwright.workflows.reopen import open_own_data

if TYPE_CHECKING:
    from netwright.report.grad_cam import Explained

BATCH_SIZE = 16  # gradients are kept from the chosen layer on


@dataclass(frozen=True, eq=False)
class Explanations:
    """Images with their maps, and the layer that was looked at."""

    layer: str
    images: "tuple[Explained, ...]"
    calibrated: bool

    def _repr_png_(self) -> bytes:
        from netwright.report.grad_cam import draw_grad_cam
        from netwright.report.style import png_bytes

        return png_bytes(draw_grad_cam(self.images, layer=self.layer, calibrated=self.calibrated))


def explain_pixels(
    predictor: Predictor,
    pixels: Tensor,
    sources: Sequence[str],
    *,
    label: str | None = None,
    layer: str | None = None,
    truths: Sequence[str] | None = None,
) -> Explanations:
    """Explain decoded images (B, H, W, C): the likeliest class of each, or the class `label`.

    Raises InputError for a network without a spatial layer, or an unknown layer or class."""
    from netwright.report.grad_cam import Explained  # loads matplotlib: 0.4 s

    names = predictor.bundle.task.class_names
    if predictor.bundle.task.name != "classification":
        raise InputError("Grad-CAM shows what speaks for a class of the image, which this network does not name")
    chosen = None if label is None else class_number(label, names)
    pictures = as_pictures(predictor, pixels)
    made: list[Explained] = []
    for start in range(0, len(pixels), BATCH_SIZE):
        images = network_images(predictor, pixels[start : start + BATCH_SIZE])
        layer = layer or last_spatial_layer(predictor.network, images[:1])
        probabilities = predictor.rows(images)
        predicted = probabilities.argmax(axis=1)
        classes = predicted if chosen is None else np.full(len(predicted), chosen)
        found = grad_cam(predictor.network, images, classes=torch.from_numpy(classes), layer=layer)
        for place, row in enumerate(probabilities):
            number = start + place
            made.append(
                Explained(
                    sources[number],
                    pictures[number],
                    found.maps[place].numpy(),
                    names[classes[place]],
                    float(row[classes[place]]),
                    names[predicted[place]],
                    None if truths is None else truths[number],
                )
            )
    return Explanations(layer or "", tuple(made), predictor.bundle.temperature is not None)


def explain_mistakes(folder: RunFolder, own: Own, *, most: int = 6) -> Explanations:
    """Explain why the most confident mistakes on val were made: what speaks for the wrong class that was said.

    Only those images are decoded; which they are, the outputs that the run keeps say. Raises InputError when the run
    keeps none, when its network has no spatial layer or its images are no pictures, DataError when its data have
    changed."""
    rows = surest_mistakes(load_outputs(folder.outputs_of("val")), most)
    labelled = open_own_data(folder, own, folder.read_recipe())
    with opened(folder.path, own) as predictor:
        prepared = prepare_like(labelled, {"val": rows}, predictor.transform, own.transform)
        return explain_rows(predictor, prepared, rows)


def surest_mistakes(outputs: StoredOutputs, most: int) -> Rows:
    """Return the rows of the wrong answers that the network was most sure of, the surest first."""
    wrong = np.flatnonzero(outputs.predictions != outputs.targets)
    sureness = outputs.answers[wrong].max(axis=1, initial=-np.inf)
    rows: Rows = outputs.rows[wrong[np.argsort(-sureness, kind="stable")[:most]]]
    return rows


def explain_rows(predictor: Predictor, prepared: PreparedData, rows: Rows) -> Explanations:
    """Explain the likeliest class of decoded rows of labelled data, beside their labels.

    Raises InputError where there is no spatial layer, or where images are no pictures: items that are read anew."""
    if prepared.store.items is not None:
        raise InputError("the images are made anew by your own Dataset, so there are no pictures to explain")
    labelled = prepared.labelled
    pixels = prepared.store.views(torch.from_numpy(rows).to(prepared.store.pixels.device), predictor.transform)
    truths = [labelled.class_names[int(labelled.targets[row])] for row in rows]
    sources = [str(labelled.sample_names[int(row)]) for row in rows]
    return explain_pixels(predictor, pixels, sources, truths=truths)


def explain_images(folder: RunFolder, own: Own, images: Any, *, label: str | None, layer: str | None) -> Explanations:
    """Explain paths, arrays (N, H, W[, C]), tensors (N, C, H, W) or PIL images; see `explain_pixels`.

    Raises DataError for an image that can't be read."""
    sources, names = named_sources(images)
    if not sources:
        raise DataError("there is no image to explain; give image files, folders of them, or arrays")
    with opened(folder.path, own) as predictor:
        pixels = torch.stack([seen_pixels(predictor, source) for source in sources])
        return explain_pixels(predictor, pixels, names, label=label, layer=layer)


def seen_pixels(predictor: Predictor, source: Any) -> Tensor:
    """Decode a picture to the part that the network sees, (H, W, C). Raises DataError when it can't be read."""
    view = predictor.transform.view(predictor.transform.decode(source))
    return predictor.transform.crop(torch.from_numpy(np.array(view))[None])[0]


def network_images(predictor: Predictor, pixels: Tensor) -> Tensor:
    """Return what the network takes of decoded pixels (B, H, W, C), on its device."""
    return predictor.machine.arrange(predictor.finish(pixels).to(predictor.machine.device))


def as_pictures(predictor: Predictor, pixels: Tensor) -> list[np.ndarray]:
    """Return the part of decoded pixels (B, H, W, C) that the network sees, as pictures (h, w, C) uint8."""
    cut = custom_input(predictor.transform, pixels)
    if cut.dtype != torch.uint8:
        cut = (255 * cut.clamp(0, 1)).round().to(torch.uint8)
    return list(cut.numpy())


def class_number(label: str, class_names: Sequence[str]) -> int:
    """Return a class's number. Raises InputError that lists the classes for one that there is not."""
    if label not in class_names:
        raise InputError(
            f"there is no class {label!r}{did_you_mean(label, class_names)}; it has: {listed(class_names)}"
        )
    return list(class_names).index(label)
