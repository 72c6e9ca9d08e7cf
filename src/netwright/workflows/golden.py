"""Which golden samples a run's bundle gets, and what the network says of them."""

import numpy as np
from torch import nn

from netwright.config.datasets import BUILT_IN
from netwright.config.recipe import Recipe
from netwright.data.prepare import PreparedData
from netwright.data.shown import shown_pixels
from netwright.deployment.golden import (
    BLENDED,
    Golden,
    blends,
    golden_outputs,
    kept_logits,
    num_golden,
    shuffled_columns,
)
from netwright.deployment.prediction import ANSWERING
from netwright.workflows.own import Own


def golden_kind(recipe: Recipe, own: Own) -> str:
    """Return `real`, `synthetic` or `none`: what `data.golden` says, and for `auto` whether the data are public."""
    if recipe.data.golden != "auto":
        return recipe.data.golden
    return "real" if own.data is None and recipe.data.source in BUILT_IN else "synthetic"


def make_golden(kind: str, prepared: PreparedData, network: nn.Module) -> Golden | None:
    """Take images evenly from val (train where there is no val), blend them where they are to be synthetic, and run the
    network on them."""
    if kind == "none":
        return None
    rows = prepared.rows["val" if "val" in prepared.rows else "train"]
    image_bytes = prepared.transform.channels * prepared.transform.image_size[0] * prepared.transform.image_size[1]
    num = num_golden(ANSWERING[prepared.labelled.task].each_pixel, image_bytes)
    wanted = num if kind == "real" else num * BLENDED
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(wanted, len(rows))).round().astype(np.int64))]
    images = shown_pixels(prepared, chosen)
    if kind == "synthetic" and prepared.transform.kind == "rows":
        images = shuffled_columns(images)
    elif kind == "synthetic":
        images = blends(images, num)
    logits = golden_outputs(network, prepared.transform, prepared.custom, images)
    return Golden("real" if kind == "real" else "synthetic", images, kept_logits(logits))
