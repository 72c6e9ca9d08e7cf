"""Give a network that was made for RGB another number of input channels."""

import torch
from torch import nn

from netwright.errors import RecipeError


def adapt_input_channels(network: nn.Module, in_channels: int) -> None:
    """Change the first convolution, in place, to take `in_channels` channels.

    One channel gets the sum of the three kernels: the output equals that of the original network on the gray image
    repeated three times. Other numbers repeat the kernels in turn, times 3 / in_channels, so that sums keep their size.

    Raises RecipeError when the network has no convolution over three channels."""
    if in_channels == 3:
        return
    first = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    if first is None or first.in_channels != 3 or first.groups != 1:
        raise RecipeError(
            f"the images have {in_channels} channel(s) and {type(network).__name__} has no first convolution over "
            "three that could be changed; set `data.channels: 3`"
        )
    with torch.no_grad():
        if in_channels == 1:
            kernels = first.weight.sum(dim=1, keepdim=True)
        else:
            turns = [channel % 3 for channel in range(in_channels)]
            kernels = first.weight[:, turns] * (3 / in_channels)
    first.weight = nn.Parameter(kernels)
    first.in_channels = in_channels
