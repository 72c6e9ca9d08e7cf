"""Images whose label may be wrong: confident learning."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def suspects(probabilities: Floats, targets: Ints) -> list[dict[str, Any]]:
    """Return the images that confidently look like another class, the most suspect first.

    `probabilities` (N, K) are out of sample: of images that the network was not trained on. A class's threshold is its
    mean probability over the images labelled so; an image belongs confidently to the likeliest of the classes whose
    threshold it reaches, and is suspect where that is not its label. Each record has `place` (0 … N-1), `target`,
    `looks_like` and both probabilities; they are ordered by the label's own.
    Source: C. Northcutt, L. Jiang and I. Chuang, "Confident learning", JAIR 70 (2021), equations 1 and 2.

    On known test sets about half of what it names is right after all: these are images to look at, not to delete."""
    num_samples, num_classes = probabilities.shape
    if not num_samples:
        return []
    counts = np.bincount(targets, minlength=num_classes)
    own = probabilities[np.arange(num_samples), targets]
    thresholds = np.where(counts > 0, np.bincount(targets, own, num_classes) / np.maximum(counts, 1), np.inf)
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    confident = reached.argmax(axis=1)
    found = np.flatnonzero((reached.max(axis=1) > 0) & (confident != targets))
    return [
        {
            "place": int(place),
            "target": int(targets[place]),
            "looks_like": int(confident[place]),
            "label_probability": float(own[place]),
            "probability": float(probabilities[place, confident[place]]),
        }
        for place in found[np.argsort(own[found], kind="stable")]
    ]
