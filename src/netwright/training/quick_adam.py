"""Adam's fused update without what torch does around it in every step: 44 µs for six small tensors, of which the kernel
takes 10. The calls that change numbers are torch's own, in its order, so the updates are the same bit for bit."""

from typing import Any

import torch
from torch import Tensor


class QuickAdam:
    """The `step` of a fused Adam or AdamW on a CPU; `plain` is torch's, for the first step and all that is unusual."""

    def __init__(self, plain: Any, optimizer: torch.optim.Adam) -> None:
        self._plain, self._optimizer = plain, optimizer
        decoupled = isinstance(optimizer, torch.optim.AdamW)
        self._kernel: Any = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self._known: list[list[dict[str, Any]]] = []  # each parameter's state, group by group, after a step of torch's

    def __call__(self) -> None:
        with torch.no_grad():
            gradients = [[parameter.grad for parameter in group["params"]] for group in self._groups]
            if not self._is_usual(gradients):
                self._plain(self._optimizer)
                state = self._optimizer.state
                self._known = [[state.get(parameter, {}) for parameter in group["params"]] for group in self._groups]
                return
            for group, of_group, known in zip(self._groups, gradients, self._known, strict=True):
                self._update(group, of_group, known)

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self._optimizer.param_groups

    def _is_usual(self, gradients: list[list[Tensor | None]]) -> bool:
        """Say whether every parameter has a gradient and the state that it had, all float32 on the CPU."""
        if len(self._known) != len(self._groups):
            return False
        for group, of_group, known in zip(self._groups, gradients, self._known, strict=True):
            if not of_group or group["amsgrad"] or group["maximize"] or isinstance(group["lr"], Tensor):
                return False
            state = self._optimizer.state
            for parameter, gradient, kept in zip(group["params"], of_group, known, strict=True):
                if gradient is None or not kept or state.get(parameter) is not kept:
                    return False
                if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
                    return False
        return True

    def _update(self, group: dict[str, Any], gradients: list[Tensor | None], known: list[dict[str, Any]]) -> None:
        steps = [state["step"] for state in known]
        torch._foreach_add_(steps, 1)
        first, second = group["betas"]
        self._kernel(
            group["params"],
            gradients,
            [state["exp_avg"] for state in known],
            [state["exp_avg_sq"] for state in known],
            [],
            steps,
            amsgrad=False,
            lr=group["lr"],
            beta1=first,
            beta2=second,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
