"""What is sent of masks: PNG files, and the colours of their classes."""

from netwright.data.labelled import Array
from netwright.report.overlay import overlay
from netwright.workflows.png import colour_name, png_bytes


def colours_of_masks(class_names: tuple[str, ...]) -> dict[str, str]:
    """Return each class's colour in masks and overlays; the first one's, black in masks, is left clear in overlays."""
    return {name: colour_name(place) for place, name in enumerate(class_names)}


def mask_png(mask: Array) -> bytes:
    """Return a mask (H, W) as a PNG: the number of a class in each pixel, shown in the class's colour."""
    return png_bytes(mask, with_colours=True, quick=True)


def overlay_png(pixels: Array, mask: Array) -> bytes:
    """Return a mask (H, W) over its picture (H, W, C) as a PNG."""
    return png_bytes(overlay(pixels, mask), quick=True)
