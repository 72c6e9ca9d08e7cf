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
from netwright.deployment.predictor import Predictor
from netwright.deployment.service import Overloaded, Service
from netwright.deployment.whole import example_images
from netwright.errors import InputError
from netwright.workflows.explain import explain_pixels
from netwright.workflows.own import Own
from netwright.workflows.predict import locate, opened
from netwright.workflows.predict_masks import refuse_masks

__all__ = ["Overloaded", "Service", "TooLate", "describe", "explain_picture", "open_service"]


@contextmanager
def open_service(run: str, limits: Serving, told_batch: Callable[[int], None] = lambda size: None) -> Iterator[Service]:
    """Load a run or bundle and begin to answer; at the end what waits is answered first.

    Raises InputError for what is no bundle, WeightsError for a damaged one, MachineError for an engine that is not
    installed, WorkFailed for one that answers otherwise."""
    with opened(run, Own(), limits.engine) as predictor:
        refuse_masks(predictor, "netwright serve")
        if predictor.transform.kind == "rows":
            raise InputError(
                f"{run} takes the rows of a table, and the service takes images; netwright predict reads tables"
            )
        _choose_engine(run, predictor, limits.engine)
        service = Service(predictor, limits, told_batch)
        try:
            yield service
        finally:
            service.close()


def _choose_engine(run: str, predictor: Predictor, asked: EngineName) -> None:
    """Put the engine in, compared on the bundle's golden samples, or on noise where it has none."""
    golden = load_golden(locate(run)[0])
    pixels = example_images(predictor.bundle, NUM_GOLDEN) if golden is None else golden.images
    choice, images = EngineChoice(predictor, asked), predictor.finish(pixels)
    if asked == "auto":
        choice.try_all(images)
    else:
        choice.begin(images)


def describe(service: Service) -> dict[str, Any]:
    """Return what `GET /model` answers: the card, the classes, the versions, the limits."""
    bundle = service.predictor.bundle
    return {
        "name": bundle.data.get("name"),
        "card": card_of(bundle.to_mapping()),
        "class_names": list(bundle.task.class_names),
        "image_size": list(bundle.image_size),
        "channels": bundle.in_channels,
        "calibrated": bundle.temperature is not None,
        "metrics": bundle.metrics,
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
