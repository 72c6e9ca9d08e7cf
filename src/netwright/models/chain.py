"""A small network's Linear and ReLU layers as one step of autograd, with the gradients that autograd itself computes.

Of a batch of rows a layer takes a few microseconds, and to note it, call it and come back to it takes many more: 64
rows through 8-64-64-1, forward and backward, 287 µs by autograd layer by layer and 91 by the same sums without autograd
(one thread, beside other work)."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

_relu_backward = torch.ops.aten.threshold_backward.default


class Layer(NamedTuple):
    """One hidden layer: Linear, ReLU, dropout; `adds` says whether its input is added to what it gives."""

    linear: nn.Linear
    dropout: float = 0.0
    adds: bool = False


def layers_of(blocks: Iterable[nn.Module], adds: Iterable[bool] | None = None) -> tuple[Layer, ...] | None:
    """Return hidden layers as a chain takes them; None where one has batch norm, or another activation than ReLU."""
    found = []
    for block, added in zip(blocks, adds or itertools.repeat(False), strict=False):
        parts = dict(block.named_children())
        linear, dropout = parts.pop("linear", None), parts.pop("dropout", None)
        if not isinstance(linear, nn.Linear) or [type(part) for part in parts.values()] != [nn.ReLU]:
            return None
        found.append(Layer(linear, dropout.p if isinstance(dropout, nn.Dropout) else 0.0, added))
    return tuple(found)


How = tuple[tuple[float, bool], ...]  # of each layer: dropout, and whether its input is added


class Chain(NamedTuple):
    """Hidden layers, the head, and a Linear without bias beside them from the features to the outputs."""

    layers: tuple[Layer, ...]
    head: nn.Linear
    beside: nn.Linear | None = None

    @property
    def how(self) -> How:
        return tuple((layer.dropout, layer.adds) for layer in self.layers)

    @property
    def weights(self) -> list[Tensor]:
        """The head's weight and bias, those of the layers, that of the Linear beside."""
        weights: list[Tensor] = [self.head.weight, self.head.bias]
        weights += [weight for layer in self.layers for weight in (layer.linear.weight, layer.linear.bias)]
        return weights if self.beside is None else [*weights, self.beside.weight]


class Chained:
    """What a network's chain is made of, looked up once and not by name in every step.

    `layers` is None where there can be none. What it was made of, `parts`, tells when it has to be made again."""

    def __init__(self, network: nn.Module, parts: tuple[Any, ...], layers: tuple[Layer, ...] | None) -> None:
        self._parts = parts
        self.layers = layers
        self._modules = tuple(network.modules())

    def is_of(self, parts: tuple[Any, ...]) -> bool:
        """Say whether it was made of these modules, none of which was replaced."""
        return all(mine is other for mine, other in zip(self._parts, parts, strict=True))

    @property
    def is_hooked(self) -> bool:
        """Say whether somebody wants to see what single modules give."""
        return any(
            module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
            for module in self._modules
        )


@runtime_checkable
class ChainNetwork(Protocol):
    """A network that may be a chain and nothing else."""

    def whole_chain(self) -> tuple[nn.Module, Chain] | None:
        """Return what makes the features, and the chain that is all the rest; None where there is more to it."""


def can_chain(network: nn.Module, rows: Tensor) -> bool:
    """Say whether a chain does what the network's modules would: trained, on a CPU, in float32."""
    if not network.training or not torch.is_grad_enabled() or rows.device.type != "cpu" or rows.dtype != torch.float32:
        return False
    return not torch.is_autocast_enabled("cpu")


def run_chain(features: Tensor, layers: Sequence[Layer], head: nn.Linear, beside: nn.Linear | None = None) -> Tensor:
    """Run features (B, D) through hidden layers and the head, and add `beside` of the features: (B, num_outputs)."""
    chain = Chain(tuple(layers), head, beside)
    outputs: Tensor = _Chain.apply(chain.how, features, *chain.weights)
    return outputs


class Kept(NamedTuple):
    """What backward needs of forward: features, then each layer's output and what it passed on, and dropout's noise."""

    values: list[Tensor]
    noises: list[Tensor | None]


def chain_forward(how: How, features: Tensor, head: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Tensor, Kept]:
    """Return outputs (B, num_outputs). `head`: weight and bias; `weights`: those of the layers, and one beside."""
    hidden, kept = features, Kept([features], [])
    for place, (dropout, adds) in enumerate(how):
        given = torch.addmm(weights[2 * place + 1], hidden, weights[2 * place].t()).relu_()
        noise = torch.empty_like(given).bernoulli_(1 - dropout).div_(1 - dropout) if dropout else None
        through = given if noise is None else given * noise
        hidden = hidden + through if adds else through
        kept.noises.append(noise)
        kept.values.extend((given, hidden))
    outputs = torch.addmm(head[1], hidden, head[0].t())
    if len(weights) > 2 * len(how):
        outputs = outputs.add_(features.mm(weights[-1].t()))
    return outputs, kept


def chain_backward(
    how: How,
    kept: Kept,
    gradient: Tensor,
    head: Tensor,
    weights: Sequence[Tensor],
    out: Sequence[Tensor],
    *,
    wants_features: bool = False,
) -> Tensor | None:
    """Write the gradients of the head's weight `head` and bias, and of `weights`, into `out`, in this order.

    Returns that of the features where it is wanted. The sums are autograd's, with its bits."""
    values = kept.values
    torch.mm(gradient.t(), values[-1], out=out[0])
    torch.sum(gradient, 0, out=out[1])
    of_hidden = gradient.mm(head) if how or wants_features else gradient
    for place in reversed(range(len(how))):
        given, before, noise = values[2 * place + 1], values[2 * place], kept.noises[place]
        of_sum = _relu_backward(of_hidden if noise is None else of_hidden * noise, given, 0)
        torch.mm(of_sum.t(), before, out=out[2 * place + 2])
        torch.sum(of_sum, 0, out=out[2 * place + 3])
        if place or wants_features:
            passed = of_sum.mm(weights[2 * place])
            of_hidden = passed.add_(of_hidden) if how[place][1] else passed
    if len(weights) > 2 * len(how):
        torch.mm(gradient.t(), values[0], out=out[-1])
        if wants_features:
            of_hidden = of_hidden.add(gradient.mm(weights[-1]))
    return of_hidden if wants_features else None


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, how: How, features: Tensor, weight: Tensor, bias: Tensor, *weights: Tensor) -> Tensor:
        outputs, kept = chain_forward(how, features, (weight, bias), weights)
        ctx.how, ctx.noises, ctx.num_kept = how, kept.noises, len(kept.values)
        ctx.save_for_backward(*kept.values, weight, bias, *weights)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        saved = ctx.saved_tensors
        kept, given = Kept(list(saved[: ctx.num_kept]), ctx.noises), saved[ctx.num_kept :]
        out = [torch.empty_like(each, memory_format=torch.contiguous_format) for each in given]
        of_features = chain_backward(
            ctx.how, kept, gradient, given[0], given[2:], out, wants_features=ctx.needs_input_grad[1]
        )
        return None, of_features, *out
