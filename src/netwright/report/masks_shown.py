"""Which images of a split the report shows with their masks: the worst first, by the mean Dice of their classes."""

from typing import Any

import numpy as np

from netwright.report.answers import sample_names
from netwright.report.overlay import colour_of
from netwright.report.records import Records

MOST_WORST = 12


def masks_shown(records: Records) -> dict[str, list[dict[str, Any]]]:
    """Return for each judged split its worst images: row, name, mean Dice."""
    found: dict[str, list[dict[str, Any]]] = {}
    if records.task != "segmentation":
        return found
    for split in records.judged:
        if split not in records.outputs:
            continue
        outputs = records.outputs[split]
        names = sample_names(outputs, records.split.get("splits", {}).get(split, []))
        worst = np.argsort(outputs.predictions, kind="stable")[:MOST_WORST]
        found[split] = [
            {"row": int(outputs.rows[place]), "name": names[place], "dice": float(outputs.predictions[place])}
            for place in worst
        ]
    return found


def mask_colours(records: Records) -> list[str]:
    """Return the colour of each class but the first, as HTML writes it."""
    names = records.class_names if records.task == "segmentation" else ()
    return ["#{:02x}{:02x}{:02x}".format(*colour_of(place)) for place in range(1, len(names))]
