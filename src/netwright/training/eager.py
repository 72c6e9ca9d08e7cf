"""torch's optimizers without its compiler, which building one and its first step load: 1.8 s of processor time."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from netwright.training.quick_adam import QuickAdam

_COMPILER = "torch._dynamo"
_MARK = "__dynamo_disable"  # where torch keeps what it calls in place of a function that is not to be compiled


def without_compiler(
    kind: type[torch.optim.Optimizer], groups: list[Any], arguments: dict[str, Any]
) -> torch.optim.Optimizer:
    """Build one of torch's optimizers whose `step` is torch's own code without the wrappers around it.

    The wrappers tell the compiler where to cut its graphs and call hooks; nothing here is compiled and no hooks are
    registered, so the updates are the same bit for bit. Where the compiler is loaded already, or torch's code looks
    different, the optimizer is left as it is."""
    with _nothing_compiled():
        optimizer = kind(groups, **arguments)
    plain = inspect.unwrap(kind.step)
    if plain is not kind.step and list(inspect.signature(plain).parameters) == ["self", "closure"]:
        if isinstance(optimizer, torch.optim.Adam) and not arguments.get("foreach"):
            optimizer.step = QuickAdam(plain, optimizer, fused=bool(arguments.get("fused")))  # type: ignore[assignment]
        else:
            optimizer.step = partial(_step, plain, optimizer)  # type: ignore[assignment]
    return optimizer


def _step(plain: Any, optimizer: torch.optim.Optimizer) -> None:
    with torch.no_grad():
        plain(optimizer)


@contextmanager
def _nothing_compiled() -> Iterator[None]:
    """Let `add_param_group`, which every optimizer calls when it is built, run without loading the compiler."""
    function = getattr(torch.optim.Optimizer.add_param_group, "__wrapped__", None)
    if function is None or _COMPILER in sys.modules or hasattr(function, _MARK):
        yield
        return
    setattr(function, _MARK, function)
    try:
        yield
    finally:
        delattr(function, _MARK)
