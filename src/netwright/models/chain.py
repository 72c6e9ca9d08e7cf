"""A small network's Linear and ReLU layers as one step of autograd, with the gradients that autograd itself computes.

Of a batch of rows a layer takes a few microseconds, and to note it, call it and come back to it takes many more: 64
rows through 8-64-64-1, forward and backward, 287 µs by autograd layer by layer and 91 by the same sums without autograd
(one thread, beside other work)."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

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
        return any(module._forward_hooks or module._forward_pre_hooks for module in self._modules)


def can_chain(network: nn.Module, rows: Tensor) -> bool:
    """Say whether a chain does what the network's modules would: trained, on a CPU, in float32."""
    if not network.training or not torch.is_grad_enabled() or rows.device.type != "cpu" or rows.dtype != torch.float32:
        return False
    return not torch.is_autocast_enabled("cpu")


def run_chain(features: Tensor, layers: Sequence[Layer], head: nn.Linear, beside: nn.Linear | None = None) -> Tensor:
    """Run features (B, D) through hidden layers and the head, and add `beside` of the features: (B, num_outputs)."""
    how = tuple((layer.dropout, layer.adds) for layer in layers)
    weights = [weight for layer in layers for weight in (layer.linear.weight, layer.linear.bias)]
    last = () if beside is None else (beside.weight,)
    outputs: Tensor = _Chain.apply(how, features, head.weight, head.bias, *weights, *last)
    return outputs


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, how: Any, features: Tensor, weight: Tensor, bias: Tensor, *weights: Tensor) -> Tensor:
        hidden, kept = features, [features]
        noises: list[Tensor | None] = []
        for place, (dropout, adds) in enumerate(how):
            given = torch.addmm(weights[2 * place + 1], hidden, weights[2 * place].t()).relu_()
            noise = torch.empty_like(given).bernoulli_(1 - dropout).div_(1 - dropout) if dropout else None
            through = given if noise is None else given * noise
            hidden = hidden + through if adds else through
            noises.append(noise)
            kept += [given, hidden]
        outputs = torch.addmm(bias, hidden, weight.t())
        if len(weights) > 2 * len(how):
            outputs = outputs.add_(features.mm(weights[-1].t()))
        ctx.how, ctx.noises = how, noises
        ctx.num_kept = len(kept)
        ctx.save_for_backward(*kept, weight, *weights)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        saved = ctx.saved_tensors
        kept, weight, weights = saved[: ctx.num_kept], saved[ctx.num_kept], saved[ctx.num_kept + 1 :]
        features, wants_features = kept[0], ctx.needs_input_grad[1]
        of_head = gradient.t().mm(kept[-1]), gradient.sum(0)
        of_weights: list[Tensor] = []
        of_hidden = gradient.mm(weight)
        for place in reversed(range(len(ctx.how))):
            _, adds = ctx.how[place]
            given, noise, before = kept[2 * place + 1], ctx.noises[place], kept[2 * place]
            of_given = of_hidden if noise is None else of_hidden * noise
            of_sum = _relu_backward(of_given, given, 0)
            of_weights[:0] = of_sum.t().mm(before), of_sum.sum(0)
            if place or wants_features:
                passed = of_sum.mm(weights[2 * place])
                of_hidden = passed.add_(of_hidden) if adds else passed
        if len(weights) > 2 * len(ctx.how):
            of_weights.append(gradient.t().mm(features))
            if wants_features:
                of_hidden = of_hidden.add(gradient.mm(weights[-1]))
        return None, of_hidden if wants_features else None, *of_head, *of_weights
