"""How much accuracy is lost when the image moves by some pixels."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from netwright.data.batches import Batch
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
    """Return the accuracy for 0 to 4 pixels, the mean over the four directions, with bootstrap intervals over images.

    `answer` gives the class (B,) of images (B, C, H, W) as the network takes them; `batches` begins the split anew.
    17 passes over the split. `lost` is what the worst of them costs, in fractions, with `lost_interval` from the same
    images moved and not moved."""
    rights: dict[int, Tensor] = {}
    with torch.inference_mode():
        for pixels in (0, *PIXELS):
            moves = [(down * pixels, right * pixels) for down, right in DIRECTIONS] if pixels else [(0, 0)]
            parts = []
            for batch in batches():
                hits = [(answer(shifted(batch.images, *move)) == batch.targets).float() for move in moves]
                parts.append(torch.stack(hits).mean(dim=0).cpu())
            rights[pixels] = torch.cat(parts)
    values = {pixels: right.double().numpy() for pixels, right in rights.items()}
    rows = [
        {"pixels": pixels, "accuracy": float(each.mean()), "interval": _interval(each), "num_samples": len(each)}
        for pixels, each in values.items()
    ]
    costs = values[0] - min(values.values(), key=lambda each: float(each.mean()))
    return {"shifts": rows, "lost": float(costs.mean()), "lost_interval": _interval(costs)}


def _interval(values: npt.NDArray[np.float64]) -> list[float]:
    """Return the bootstrap's interval of the mean of values (N,)."""
    mean = float(values.mean())
    return bca(resampled_means(values[:, None])[:, 0], mean, values - mean)
