"""Pictures for the report: an image, its mask over it, and what the network says."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import nn

from netwright.data.prepare import PreparedData
from netwright.report.overlay import overlay, side_by_side
from netwright.report.page import Picture
from netwright.runtime.machine import Machine
from netwright.tasks.segmentation import Segmentation

SIDE_PIXELS = 256
JPEG_QUALITY = 85


def mask_pictures(
    prepared: PreparedData, rows: Sequence[int], network: nn.Module, task: Segmentation, machine: Machine
) -> Mapping[int, Picture]:
    """Return a picture of each row: image, true mask and predicted mask beside each other.

    `rows` are of the labelled data, and decoded; the network, in eval mode, is run on them again, one by one."""
    found: dict[int, Picture] = {}
    store, transform = prepared.store, prepared.transform
    for row in rows:
        place = torch.tensor([row])
        pixels = store.views(place.to(store.pixels.device), transform)
        if pixels.dtype != torch.uint8:
            return {}
        with torch.inference_mode(), machine.autocast():
            images = machine.arrange(transform.finish(pixels).to(machine.device))
            predicted = task.classes(network(images))[0].to(torch.uint8).cpu().numpy()
        mask = transform.crop(store.gather_masks(place.to(store.pixels.device)).unsqueeze(3))[0, ..., 0].cpu().numpy()
        image = pixels[0].cpu().numpy()
        plain = overlay(image, np.zeros_like(mask))
        found[row] = _encoded(side_by_side(*map(_shown, (plain, overlay(image, mask), overlay(image, predicted)))))
    return found


def _shown(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    picture = Image.fromarray(pixels)
    times = SIDE_PIXELS // max(picture.size)
    if times > 1:  # of 28 pixels nobody sees anything
        return np.asarray(picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST))
    picture.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    return np.asarray(picture)


def _encoded(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    return Picture(buffer.getvalue(), pixels.shape[1], pixels.shape[0])
