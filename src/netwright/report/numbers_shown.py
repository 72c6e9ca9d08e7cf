"""What of a regression's answers the report shows: points of a scatter plot, the largest errors by name. No torch."""

from typing import Any

import numpy as np

from netwright.report.answers import sample_names
from netwright.report.records import Records

MOST_POINTS, MOST_WORST = 800, 12


def numbers_shown(records: Records) -> dict[str, dict[str, Any]]:
    """Return for each judged split `num`, up to 800 `points` (target, value) and the 12 `worst` (row, name, both)."""
    if records.task != "regression":
        return {}
    found = {}
    for split in records.judged:
        if split not in records.outputs:
            continue
        outputs = records.outputs[split]
        names = sample_names(outputs, records.split.get("splits", {}).get(split, []))
        said, truth = outputs.predictions, outputs.targets
        some = np.unique(np.linspace(0, len(truth) - 1, min(MOST_POINTS, len(truth))).astype(np.int64))
        worst = np.argsort(-np.abs(said - truth), kind="stable")[:MOST_WORST]
        found[split] = {
            "num": len(truth),
            "points": [(float(truth[place]), float(said[place])) for place in some],
            "worst": [
                {
                    "row": int(outputs.rows[place]),
                    "name": names[place],
                    "target": float(truth[place]),
                    "value": float(said[place]),
                }
                for place in worst
            ],
        }
    return found
