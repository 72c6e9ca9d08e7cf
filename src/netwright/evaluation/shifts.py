"""How much accuracy is lost when the image moves by some pixels."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from netwright.data.batches import Batch
from netwright.evaluation.intervals import wilson
from netwright.evaluation.resampling import bca, resampled_means

PIXELS = (1, 2, 3, 4)
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # right, left, down, up


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Return images (B, C, H, W) moved by some pixels, the edge that is left repeated."""
    height, width = images.shape[2:]
    by = max(abs(down), abs(right))
    wide = functional.pad(images, (by, by, by, by), mode="replicate")
    return wide[:, :, by - down : by - down + height, by - right : by - right + width]


def accuracy_under_shifts(answer: Callable[[Tensor], Tensor], batches: Callable[[], Iterable[Batch]]) -> dict[str, Any]:
    """Return the accuracy for 0 to 4 pixels, the mean over the four directions, with intervals over images.

    `answer` gives the class (B,) of images (B, C, H, W) as the network takes them; `batches` begins the split anew.
    17 passes over the split. `lost` is what the worst of them costs, in fractions, with `lost_interval` from the same
    images moved and not moved."""
    rights: dict[int, Tensor] = {}
    with torch.inference_mode():
        for pixels in (0, *PIXELS):
            moves = [(down * pixels, right * pixels) for down, right in DIRECTIONS] if pixels else [(0, 0)]
            parts = []
            for batch in batches():
                targets = batch.targets.cpu()
                hits = [(answer(shifted(batch.images, *move)).cpu() == targets).float() for move in moves]
                parts.append(torch.stack(hits).mean(dim=0))
            rights[pixels] = torch.cat(parts)
    values = {pixels: right.double().numpy() for pixels, right in rights.items()}
    rows = [
        {
            "pixels": pixels,
            "accuracy": float(each.mean()),
            "interval": accuracy_interval(each),
            "num_samples": len(each),
        }
        for pixels, each in values.items()
    ]
    costs = values[0] - min(values.values(), key=lambda each: float(each.mean()))
    return {"shifts": rows, "lost": float(costs.mean()), "lost_interval": cost_interval(costs)}


def accuracy_interval(rights: npt.NDArray[np.float64]) -> list[float]:
    """Return Wilson's interval of a mean of shares (N,), each of some directions in which an image is answered rightly.

    N counts for as many images as would give a fraction this variance: of 0 and 1 that is N, and where all is right
    too, which resampling would call certain."""
    mean, variance = float(rights.mean()), float(rights.var())
    effective = len(rights) * (mean * (1 - mean) / variance if variance else 1.0)
    return list(wilson(mean * effective, effective))


def cost_interval(costs: npt.NDArray[np.float64]) -> list[float]:
    """Return the bootstrap's interval of the mean of costs (N,); Wilson's of 0 in N, both ways, where nothing is lost
    on any image."""
    if not costs.any():
        bound = wilson(0, len(costs))[1]
        return [-bound, bound]
    mean = float(costs.mean())
    return bca(resampled_means(costs[:, None])[:, 0], mean, costs - mean)
