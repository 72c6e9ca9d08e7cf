"""What a network makes of images of a size, found by one pass over shapes alone: no memory, no arithmetic."""

import itertools

import torch
from torch import Tensor, nn


def output_of(network: nn.Module, in_channels: int, image_size: tuple[int, int]) -> Tensor:
    """Return what two images of (height, width) pixels give, on torch's meta device, in eval mode (0.02 to 0.5 s).

    Modes, weights and buffers stay as they are. Raises what the network's layers raise on sizes that they can't take:
    RuntimeError or ValueError."""
    states = itertools.chain(network.named_parameters(), network.named_buffers())
    shapes = {name: torch.empty_like(state, device="meta") for name, state in states}
    images = torch.empty(2, in_channels, *image_size, device="meta")
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            outputs: Tensor = torch.func.functional_call(network, shapes, (images,))
    finally:
        for module, mode in modes:
            module.training = mode
    return outputs
