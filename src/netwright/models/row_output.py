"""The last layers of a network for rows: set to what a linear model says, or to always the same answer."""

import torch
from torch import Tensor, nn

from netwright.models.mlp import FlatNetwork
from netwright.models.tabular_mlp import TabularNetwork


def begin_as_linear(network: TabularNetwork, weight: Tensor, bias: Tensor) -> None:
    """Let the network say what a linear model of its features says, weight (num_outputs, D) and bias (num_outputs,).

    The hidden layers say nothing at first, and learn what the linear model leaves over."""
    assert network.linear is not None
    with torch.no_grad():
        network.linear.weight.copy_(weight)
        network.head.weight.zero_()
        network.head.bias.copy_(bias)
    network.begins_as_linear = True


def can_say_always(network: nn.Module) -> bool:
    """Say whether `say_always` knows the network's last layers."""
    return isinstance(network, (TabularNetwork, FlatNetwork)) and isinstance(network.head, nn.Linear)


def say_always(network: nn.Module, outputs: Tensor) -> None:
    """Let the network give the same logits (num_outputs,) for every row."""
    assert can_say_always(network)
    beside = network.linear if isinstance(network, TabularNetwork) else None
    with torch.no_grad():
        for layer in (network.head, beside):
            if isinstance(layer, nn.Linear):
                layer.weight.zero_()
        assert isinstance(network.head, nn.Linear)
        network.head.bias.copy_(outputs)
