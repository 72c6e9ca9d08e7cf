"""How much memory a training takes beyond what it has already, estimated before its first step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netwright.config.optimization import CustomOptimizer
from netwright.config.recipe import Recipe
from netwright.runtime.machine import Machine
from netwright.training.optimizer import build_optimizer
from netwright.training.snapshot import optimizer_state

_FEW, _MORE = 2, 4  # images that are tried: batch norm needs two


@dataclass(frozen=True)
class StepMemory:
    """`fixed_bytes` whatever the batch (gradients, optimizer, best and averaged weights, the copy for checkpoints);
    `bytes_per_image` what forward keeps for backward, and two gradients of its largest part."""

    fixed_bytes: int
    bytes_per_image: int

    def of(self, batch_size: int) -> int:
        """Return the bytes that training in batches of this size takes."""
        return self.fixed_bytes + batch_size * self.bytes_per_image

    def most_images(self, available_bytes: int) -> int:
        """Return the largest batch that fits, 0 when none does."""
        return max(0, (available_bytes - self.fixed_bytes) // max(1, self.bytes_per_image))


def estimate_memory(model: nn.Module, recipe: Recipe, machine: Machine, shape: tuple[int, ...]) -> StepMemory | None:
    """Return what training a network on images of `shape` (C, H, W) takes; None where it can't be tried.

    Runs forward on 2 and 4 black images; weights, running statistics and random state stay as they are."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = sum(_bytes(value) for value in model.state_dict().values())
    gradients = sum(_bytes(parameter) for parameter in trained)
    state = round(gradients * optimizer_share(recipe, model))
    average = 0 if recipe.training.averaging == "none" else weights
    fixed = gradients + state + weights + average + (weights + state + average)  # the last: a checkpoint's copy
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    was_training = model.training
    try:
        with torch.random.fork_rng(devices=[machine.device] if machine.device.type == "cuda" else []):
            model.train()
            few, more = (_saved_bytes(model, machine, number, shape) for number in (_FEW, _MORE))
    except (RuntimeError, ValueError, TypeError):
        return None
    finally:
        model.train(was_training)
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
    return StepMemory(fixed, max(0, (more - few) // (_MORE - _FEW)))


def _saved_bytes(model: nn.Module, machine: Machine, number: int, shape: tuple[int, ...]) -> int:
    """Return the bytes that a forward keeps, each piece of memory once, and two more of the largest."""
    own = {value.untyped_storage().data_ptr() for value in model.state_dict().values()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(value: Tensor) -> None:  # its memory and not itself: a layer that holds its own output is never freed
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage

    images = machine.arrange(torch.zeros(number, *shape, device=machine.device))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda nothing: nothing), machine.autocast():
        outputs = model(images)
    for value in (images, outputs):
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage()
    sizes = [storage.nbytes() for storage in kept.values()]
    return sum(sizes) + 2 * max(sizes)


def optimizer_share(recipe: Recipe, model: nn.Module) -> float:
    """Return how many values an optimizer keeps for each one that it trains, by one step on tiny parameters."""
    if isinstance(recipe.optimizer, CustomOptimizer):
        return 2.0  # as Adam; the user's own is not called for this
    tiny = {name: nn.Parameter(torch.zeros([2] * p.dim())) for name, p in model.named_parameters() if p.requires_grad}
    if not tiny:
        return 0.0
    optimizer = build_optimizer(recipe.optimizer, tiny.items(), kernel="plain", bf16=False)
    for parameter in tiny.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    kept = sum(value.numel() for value in optimizer_state(optimizer)[0].values() if value.numel() > 1)
    return kept / max(1, sum(parameter.numel() for parameter in tiny.values()))


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()
