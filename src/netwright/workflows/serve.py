"""`netwright serve`: a bundle, opened to answer over HTTP (the room `web` speaks it)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from netwright.config.engines import EngineName
from netwright.config.serving import Serving
from netwright.data.labelled import Array
from netwright.deployment.batcher import TooLate
from netwright.deployment.bundle import load_golden, present_versions
from netwright.deployment.card import card_of
from netwright.deployment.engine_choice import EngineChoice
from netwright.deployment.golden import NUM_GOLDEN
from netwright.deployment.received import CSV, JSON
from netwright.deployment.service import Draw, Given, Overloaded, Service
from netwright.deployment.serving import build_service
from netwright.deployment.whole import example_images
from netwright.workflows.explain import explain_pixels
from netwright.workflows.own import Own
from netwright.workflows.predict import locate, opened
from netwright.workflows.serving_masks import colours_of_masks, mask_png, overlay_png
from netwright.workflows.serving_rows import describe_columns

__all__ = [
    "CSV",
    "JSON",
    "Draw",
    "Given",
    "Overloaded",
    "Service",
    "TooLate",
    "describe",
    "explain_picture",
    "mask_png",
    "open_service",
    "overlay_png",
]

# how a task's classes look in pictures
COLOURS: dict[str, Callable[[tuple[str, ...]], dict[str, str] | None]] = {
    "classification": lambda names: None,
    "regression": lambda names: None,
    "segmentation": colours_of_masks,
}


@contextmanager
def open_service(run: str, limits: Serving, told_batch: Callable[[int], None] = lambda size: None) -> Iterator[Service]:
    """Load a run or bundle and begin to answer; at the end what waits is answered first.

    Raises InputError for what is no bundle, WeightsError for a damaged one, MachineError for an engine that is not
    installed, WorkFailed for one that answers otherwise."""
    with opened(run, Own(), limits.engine) as predictor:
        service = build_service(predictor, limits, told_batch)
        try:
            service.engine = _choose_engine(run, service, limits.engine)
            yield service
        finally:
            service.close()


def _choose_engine(run: str, service: Service, asked: EngineName) -> dict[str, object]:
    """Put the engine in, compared on the bundle's golden samples, or on noise where it has none; return its record."""
    predictor = service.predictor
    if not service.has_engines:
        return {"name": "torch", "asked": asked}
    golden = load_golden(locate(run)[0])
    pixels = example_images(predictor.bundle, NUM_GOLDEN) if golden is None else golden.images
    choice, images = EngineChoice(predictor, asked), predictor.finish(pixels)
    if asked == "auto":
        choice.try_all(images)
    else:
        choice.begin(images)
    return choice.to_mapping()


def describe(service: Service) -> dict[str, Any]:
    """Return what `GET /model` answers: task, card, classes, versions, what computes, and what the task has to add."""
    bundle = service.predictor.bundle
    table = bundle.transform.table
    return {
        "name": bundle.data.get("name"),
        "task": bundle.task.name,
        "takes": service.takes,
        "target": bundle.data.get("target"),
        "card": card_of(bundle.to_mapping()),
        "class_names": list(bundle.task.class_names),
        "colours": COLOURS[bundle.task.name](bundle.task.class_names),
        "columns": None if table is None else describe_columns(table),
        "image_size": list(bundle.image_size),
        "channels": bundle.in_channels,
        "calibrated": bundle.temperature is not None,
        "metrics": bundle.metrics,
        "engine": {**service.engine, "precision": service.predictor.machine.precision},
        "trained_with": bundle.versions,
        "running": present_versions(),
    }


async def explain_picture(service: Service, content: bytes) -> dict[str, Any]:
    """Return the likeliest class of a picture and a PNG that shows by Grad-CAM where it is seen.

    Raises DataError for what is no picture, InputError for a network without convolutions."""

    def work(pixels: Array) -> dict[str, Any]:
        from netwright.report.grad_cam import overlay_png  # loads matplotlib: 0.4 s, once

        found = explain_pixels(service.predictor, torch.from_numpy(pixels.copy())[None], ["image"])
        (explained,) = found.images
        return {
            "label": explained.label,
            "probability": explained.probability,
            "layer": found.layer,
            "png": overlay_png(explained),
        }

    answer: dict[str, Any] = await service.with_pixels(content, work)
    return answer
