"""The filters of the first convolution and the feature maps of a layer, as pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from netwright.errors import InputError
from netwright.inspection.eval_mode import in_eval_mode, removing
from netwright.inspection.grad_cam import is_spatial, module_named

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Tiles:
    """Pictures of one layer: `tiles` (K, h, w) uint8, or (K, h, w, 3) in colour; `places` (K,) says which of the
    layer's `num_channels` channels (of a filter: which filter, or `filter · inputs + input`) each one is."""

    layer: str
    tiles: Pixels
    places: tuple[int, ...]
    num_channels: int


def first_filters(network: nn.Module, most: int = 64) -> Tiles:
    """Return the first convolution's filters, as many as `most`, each scaled so that 0 is middle gray.

    Filters of three inputs are RGB pictures; of one input, gray; of others each input is a picture of its own. A
    picture's contrast is its own: its largest weight is black or white. Raises InputError without a convolution."""
    found = next(((name, each) for name, each in network.named_modules() if isinstance(each, nn.Conv2d)), None)
    if found is None:
        raise InputError(
            f"the network ({type(network).__name__}) has no convolution, so it has no filters to show; take a "
            "convolutional network, such as cnn"
        )
    name, convolution = found
    weight = convolution.weight.detach().float().cpu()  # (K, C, h, w)
    colour = weight.shape[1] == 3
    pictures = weight.permute(0, 2, 3, 1) if colour else weight.flatten(0, 1)
    shown = pictures[:most]
    largest = shown.abs().flatten(1).amax(dim=1).clamp(min=1e-12).view(-1, *[1] * (shown.dim() - 1))
    tiles = (127.5 + 127.5 * shown / largest).round().to(torch.uint8).numpy()
    return Tiles(name, tiles, tuple(range(len(tiles))), len(pictures))


def feature_maps(network: nn.Module, image: Tensor, layer: str, most: int = 16) -> Tiles:
    """Return what the channels of a layer say of one image (C, H, W), the most active (by mean) first.

    All pictures have one scale: black is the smallest value of those shown (0 after a ReLU), white the largest.
    Raises InputError when the layer's output is not (B, C', H', W')."""
    kept: list[Any] = []

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        kept.append(output.detach().clone() if isinstance(output, Tensor) else output)  # before it is written into

    with removing([module_named(network, layer).register_forward_hook(keep)]), in_eval_mode(network), torch.no_grad():
        network(image[None].clone())
    if not kept or not is_spatial(kept[-1]):
        raise InputError(f"the output of {layer!r} has no height and width, so it has no feature maps; choose another")
    maps = kept[-1][0].float().cpu()
    order = maps.mean(dim=(1, 2)).argsort(descending=True, stable=True)[:most]
    shown = maps[order]
    low, high = shown.min(), shown.max()
    tiles = (255 * (shown - low) / (high - low).clamp(min=1e-12)).round().to(torch.uint8).numpy()
    return Tiles(layer, tiles, tuple(order.tolist()), len(maps))
