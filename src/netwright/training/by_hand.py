"""A small network's step without autograd: the sums of forward and backward, one after another.

Of a batch of rows each sum takes a few microseconds, and autograd around them takes as long again. The sums and their
order are autograd's, so the gradients are the same bit for bit."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from netwright.data.batches import Batch
from netwright.models.chain import Chain, ChainNetwork, How, chain_backward, chain_forward
from netwright.tasks.task import BatchLoss, LossWithGradient, gradient_by_autograd
from netwright.training.shortcut import Computed

ALIGNED = 16  # numbers, 64 bytes: as torch lays out tensors, for a product of others is added up in another order
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | int, Tensor]]


class ByHand:
    """The steps of a network that is a chain (`models.chain`), in float32 on a CPU."""

    def __init__(self, model: nn.Module, batch_loss: BatchLoss) -> None:
        self._model = model
        # looked up once: what isinstance does with a protocol takes 20 µs
        self._loss: Loss = partial(gradient_by_autograd, batch_loss)
        if isinstance(batch_loss, LossWithGradient):
            self._loss = batch_loss.with_gradient
        self._features: nn.Module | None = None
        self._weights: list[Tensor] = []
        self._how: How = ()
        self._gradients: list[Tensor] = []
        self._block = torch.empty(0)
        self.whole_gradient: Tensor | None = None

    def enter_epoch(self) -> None:
        """See `Shortcut`."""
        found = self._model.whole_chain() if isinstance(self._model, ChainNetwork) else None
        self._features = None
        if found is None:
            return
        features, chain = found
        if not self._is_all(chain):
            return
        self._features, self._how, self._weights = features, chain.how, chain.weights
        sizes = [math.ceil(weight.numel() / ALIGNED) * ALIGNED for weight in self._weights]
        if self._block.numel() != sum(sizes):
            self._block = torch.zeros(sum(sizes))
            parts = zip(torch.split(self._block, sizes), self._weights, strict=True)
            self._gradients = [part[: weight.numel()].view(weight.shape) for part, weight in parts]

    def _is_all(self, chain: Chain) -> bool:
        """Say whether all parameters are the chain's and get plain gradients."""
        weights = chain.weights
        if {id(weight) for weight in weights} != {id(parameter) for parameter in self._model.parameters()}:
            return False
        return all(each.requires_grad and each.dtype == torch.float32 and not _is_hooked(each) for each in weights)

    def compute(self, batch: Batch) -> Computed | None:
        """See `Shortcut`."""
        self.whole_gradient = None
        if self._features is None or batch.images.dtype != torch.float32:
            return None
        head, weights = self._weights[:2], self._weights[2:]
        with torch.no_grad():
            features = self._features(batch.images)
            outputs, kept = chain_forward(self._how, features, head, weights)
            loss, weight, gradient = self._loss(outputs, batch.targets)
            chain_backward(self._how, kept, gradient, head[0], weights, self._gradients)
        for parameter, of_parameter in zip(self._weights, self._gradients, strict=True):
            parameter.grad = of_parameter
        self.whole_gradient = self._block
        return Computed(loss, weight, outputs)


def _is_hooked(weight: Tensor) -> bool:
    return bool(weight._backward_hooks or getattr(weight, "_post_accumulate_grad_hooks", None))
