"""The pixels that the network sees of some samples in evaluation, wherever they come from."""

import torch
from torch import Tensor

from netwright.data.labelled import Array, Rows
from netwright.data.loading import ItemReader
from netwright.data.prepare import PreparedData


def shown_pixels(prepared: PreparedData, rows: Rows) -> Tensor:
    """Return what the network sees of rows (N,) before `EvalTransform.finish`: (N, h, w, C) uint8 or float32.

    What a user's own data set draws at random is drawn as for evaluation."""
    transform, store = prepared.transform, prepared.store
    places = torch.from_numpy(rows)
    if store.items is None:
        pixels = store.views(places, transform)
    else:
        pixels = transform.crop(ItemReader(store.items, transform, None, seed=0, redrawn=False).read(places, 0))
    return (pixels if pixels.dtype == torch.uint8 else pixels.to(torch.float32)).cpu().contiguous()


def shown_masks(prepared: PreparedData, rows: Rows) -> Array:
    """Return the masks of rows (N,) as evaluation compares them with the network's, (N, h, w) uint8."""
    masks = prepared.store.gather_masks(torch.from_numpy(rows)).unsqueeze(3)
    found: Array = prepared.transform.crop(masks)[..., 0].cpu().contiguous().numpy()
    return found
