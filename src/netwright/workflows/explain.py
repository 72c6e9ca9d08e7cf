"""Grad-CAM for images of a run: those that are given, and the most confident mistakes on val."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from netwright.data.custom import custom_input
from netwright.deployment.predictor import Predictor
from netwright.errors import InputError, did_you_mean, listed
from netwright.inspection.grad_cam import grad_cam, last_spatial_layer
from netwright.runs.folder import RunFolder
from netwright.runs.outputs import load_outputs
from netwright.workflows.evaluate import own_data
from netwright.workflows.own import Own
from netwright.workflows.predict import opened

if TYPE_CHECKING:
    from netwright.report.grad_cam import Explained

BATCH_SIZE = 16  # gradients are kept from the chosen layer on


@dataclass(frozen=True, eq=False)
class Explanations:
    """Images with their maps, and the layer that was looked at."""

    layer: str
    images: "tuple[Explained, ...]"
    calibrated: bool


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
    chosen = None if label is None else class_number(label, names)
    pictures = as_pictures(predictor, pixels)
    made: list[Explained] = []
    for start in range(0, len(pixels), BATCH_SIZE):
        images = network_images(predictor, pixels[start : start + BATCH_SIZE])
        layer = layer or last_spatial_layer(predictor.network, images[:1])
        probabilities = predictor.probabilities(images)
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

    Only those images are decoded; their names and labels come from the outputs that the run keeps. Raises InputError
    when the run keeps none, when its network has no spatial layer or its images are not pictures, DataError when its
    data have changed."""
    kept = load_outputs(folder.outputs_of("val"))
    wrong = np.flatnonzero(kept.predictions != kept.targets)
    surest = kept.log_probabilities[wrong].max(axis=1, initial=-np.inf).argsort(kind="stable")[::-1]
    rows = kept.rows[wrong[surest[:most]]]
    with opened(folder.path, own) as predictor:
        if not len(rows):
            return Explanations("", (), predictor.bundle.temperature is not None)
        prepared = own_data(folder, own, folder.read_recipe(), predictor, "val", only=rows)
        if prepared.store.items is not None:
            raise InputError("these images are made anew by your own Dataset, so there is no picture to explain")
        pixels = prepared.store.views(torch.from_numpy(rows), predictor.transform)
        labelled = prepared.labelled
        truths = [labelled.class_names[int(labelled.targets[row])] for row in rows]
        sources = [str(labelled.sample_names[int(row)]) for row in rows]
        return explain_pixels(predictor, pixels, sources, truths=truths)


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
