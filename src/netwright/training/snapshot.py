"""What a checkpoint holds, copied out of a training so that it can go on at once."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from netwright.config.recipe import Recipe
from netwright.training.state import TrainingState


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Tensors and plain values of one moment; the tensors lie on the CPU and are changed by nobody.

    `about` is for who reads no tensors: the recipe, how many epochs are done. `copied` is when copies from a GPU are
    through, None elsewhere."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]
    about: dict[str, Any]
    copied: torch.cuda.Event | None = None


def take_snapshot(state: TrainingState, recipe: Recipe | None, buffers: dict[str, Tensor]) -> Snapshot:
    """Copy what changes into `buffers`, which are made where they are missing; the best weights need no copy on a CPU.

    The buffers are as big as weights, averaged weights and the optimizer's state together, and are kept for the next
    time: new memory would cost more than the copying does."""
    changing = {f"model/{name}": value for name, value in state.model.state_dict().items()}
    changing |= {f"average/{name}": value for name, value in state.average.items()}
    optimizer_tensors, optimizer_values = optimizer_state(state.optimizer)
    changing |= optimizer_tensors
    kept = {f"best/{name}": value for name, value in state.best.items()}
    on_gpu = any(value.device.type != "cpu" for value in changing.values())
    if on_gpu:
        changing |= kept
        kept = {}
    copies = {name: _copy(name, value.detach(), buffers) for name, value in changing.items()}
    copied = None
    if on_gpu and torch.cuda.is_available():
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
    numbers = {
        "progress": state.progress.to_mapping(),
        "sums": state.sums.to_mapping(),
        "history": list(state.history),
        "optimizer": optimizer_values,
    }
    about = {"epochs": len(state.history), "recipe": None if recipe is None else recipe.to_mapping()}
    return Snapshot(copies | kept, numbers, about, copied)


def _copy(name: str, value: Tensor, buffers: dict[str, Tensor]) -> Tensor:
    """Copy a tensor into its buffer, as it lies in memory; from a GPU into pinned memory, without waiting."""
    buffer = buffers.get(name)
    if buffer is None or buffer.shape != value.shape or buffer.dtype != value.dtype:
        buffer = torch.empty_like(value, device="cpu", pin_memory=value.device.type == "cuda")
        buffers[name] = buffer
    return buffer.copy_(value, non_blocking=value.device.type == "cuda")


def parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return an optimizer's parameters, in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split the optimizer's state into tensors and plain values, by the parameter's place and the state's name."""
    tensors, values = {}, {}
    for place, parameter in enumerate(parameters_of(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{place}/{name}"] = value
            else:
                values[f"optimizer/{place}/{name}"] = value
    return tensors, values


def state_bytes(snapshot: Snapshot) -> int:
    """Return how many bytes a snapshot's tensors have."""
    return sum(value.numel() * value.element_size() for value in snapshot.tensors.values())
