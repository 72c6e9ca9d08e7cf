"""Muon: momentum made orthogonal (Jordan 2024, "Muon: An optimizer for hidden layers in neural networks").

One optimizer for the whole network: matrices and convolution filters by Muon, the rest by SGD with Nesterov momentum.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# A quintic whose slope at 0 is largest among those that keep [0, 1] within about [0.7, 1.2] (Jordan 2024)
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
EPS = 1e-7


class Muon(torch.optim.Optimizer):
    """Parameter groups with `muon` true get Muon's step, the others that of torch's SGD with Nesterov momentum.

    A group has `lr`, `momentum`, `nesterov` and `weight_decay`: decoupled under Muon (w ← w - lr · weight_decay · w),
    an L2 penalty under SGD. `dtype` is what the products are computed in."""

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        newton_schulz_steps: int,
        normalize_weights: bool,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        defaults = {
            **{"muon": True, "lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay},
            **{"newton_schulz_steps": newton_schulz_steps, "normalize_weights": normalize_weights},
        }
        super().__init__(groups, defaults)
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None, "the loop computes the gradients before"
        for group in self.param_groups:
            with_gradient = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not with_gradient:
                continue
            if group["muon"]:
                self._muon_step(with_gradient, group)
            else:
                self._sgd_step(with_gradient, group)

    def _muon_step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        updates = self._with_momentum([_grad(parameter) for parameter in parameters], parameters, group)
        if group["normalize_weights"]:
            norms = torch._foreach_norm(parameters)
            torch._foreach_mul_(parameters, [len(p) ** 0.5 / norm for p, norm in zip(parameters, norms, strict=True)])
        elif group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        for parameter, update in zip(parameters, updates, strict=True):
            matrix = update.reshape(len(update), -1)
            # the same size of an entry whatever the shape, as in torch.optim.Muon ("original")
            factor = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
            direction = orthogonalized(matrix, group["newton_schulz_steps"], self._dtype)
            parameter.add_(direction.view(update.shape).to(parameter.dtype), alpha=-group["lr"] * factor)

    def _sgd_step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [_grad(parameter) for parameter in parameters]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        torch._foreach_add_(parameters, self._with_momentum(gradients, parameters, group), alpha=-group["lr"])

    def _with_momentum(self, gradients: list[Tensor], parameters: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Add the gradients to the momentum, v ← momentum · v + g; return g + momentum · v (Nesterov), or v."""
        if not group["momentum"]:
            return gradients
        buffers = [self._buffer(parameter) for parameter in parameters]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, gradients)
        return list(torch._foreach_add(gradients, buffers, alpha=group["momentum"])) if group["nesterov"] else buffers

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        return buffer


def orthogonalized(matrix: Tensor, steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return about U Vᵀ of matrix = U S Vᵀ, (m, n) -> (m, n): its singular values lie in about [0.7, 1.2].

    Newton-Schulz iteration of odd degree 5 on the matrix over its norm, in `dtype`: the result needs few digits, and
    bf16 halves the time only where the hardware has it."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.to(dtype)
    x = x / (x.norm() + EPS)  # the largest singular value is at most 1
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T  # the products are of the shorter side
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.T


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
