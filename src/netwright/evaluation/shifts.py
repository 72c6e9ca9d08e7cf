"""How much accuracy is lost when the image moves by some pixels."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
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
    17 passes over the split. `lost` is what the worst of them costs, in fractions."""
    rights: dict[int, Tensor] = {}
    with torch.inference_mode():
        for pixels in (0, *PIXELS):
            moves = [(down * pixels, right * pixels) for down, right in DIRECTIONS] if pixels else [(0, 0)]
            parts = []
            for batch in batches():
                hits = [(answer(shifted(batch.images, *move)) == batch.targets).float() for move in moves]
                parts.append(torch.stack(hits).mean(dim=0).cpu())
            rights[pixels] = torch.cat(parts)
    rows = []
    for pixels, right in rights.items():
        values = right.double().numpy()
        mean = float(values.mean())
        ends = bca(resampled_means(values[:, None])[:, 0], mean, values - mean)
        rows.append({"pixels": pixels, "accuracy": mean, "interval": ends, "num_samples": len(values)})
    return {"shifts": rows, "lost": float(rows[0]["accuracy"] - np.min([row["accuracy"] for row in rows]))}
