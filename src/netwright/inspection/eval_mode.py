"""A network looked at without leaving a trace: in eval mode, with hooks that are gone afterwards."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Put every module into eval mode, and each into its own mode again afterwards, also after an error."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def removing(handles: list[RemovableHandle]) -> Iterator[None]:
    """Remove hooks when the block ends, also after an error."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def like_weights(network: nn.Module) -> Tensor:
    """Return an empty tensor of the network's device and floating-point type; float32 on the CPU without weights."""
    weights = (each for each in [*network.parameters(), *network.buffers()] if each.is_floating_point())
    weight = next(weights, torch.empty(0))
    return torch.empty(0, device=weight.device, dtype=weight.dtype)


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors of what a module returned, in order: a tensor, or tuples, lists and dicts of them."""
    if isinstance(value, Tensor):
        return [value]
    inner: Iterable[Any] = ()
    if isinstance(value, (tuple, list)):
        inner = value
    elif isinstance(value, dict):
        inner = value.values()
    return [tensor for each in inner for tensor in tensors_in(each)]
