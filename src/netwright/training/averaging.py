"""A moving average of the weights, which is what is judged and kept (Polyak & Juditsky 1992; Izmailov et al. 2018).

`ema` only follows the network; `lookahead` (Zhang et al. 2019) also sets the network back to the average. All of the
state dict's floats are averaged, batch norm's running statistics too; its counters are copied.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from netwright.config.sections import Training
from netwright.training.state import TrainingState


def average(state: TrainingState, training: Training) -> None:
    """Move the average towards the present weights, after every `averaging_every_steps` updates.

    It begins as a copy of them, and keeps (1 + n) / (10 + n) of itself the n-th time (from 1) while that is less than
    `averaging_decay`, so that the first weights do not weigh on it for long."""
    number, rest = divmod(state.progress.step, training.averaging_every_steps)
    if training.averaging == "none" or rest:
        return
    present = state.model.state_dict()
    if not state.average:
        state.average = {name: value.detach().clone() for name, value in present.items()}
        return
    keep = min(training.averaging_decay, (1 + number) / (10 + number))
    names = [name for name, value in present.items() if value.is_floating_point()]
    averaged = [state.average[name] for name in names]
    torch._foreach_lerp_(averaged, [present[name] for name in names], 1 - keep)
    for name in present.keys() - set(names):
        state.average[name].copy_(present[name])
    if training.averaging == "lookahead":
        torch._foreach_copy_([present[name] for name in names], averaged)


@contextmanager
def averaged(state: TrainingState) -> Iterator[None]:
    """Give the network the averaged weights, where there are any, and its own back at the end."""
    if not state.average:
        yield
        return
    own = {name: value.detach().clone() for name, value in state.model.state_dict().items()}
    _set(state, state.average)
    try:
        yield
    finally:
        _set(state, own)


def _set(state: TrainingState, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in state.model.state_dict().items():
            value.copy_(weights[name])
