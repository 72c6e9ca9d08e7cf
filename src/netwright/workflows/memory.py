"""Before the first step: does a training fit in memory, and do its checkpoints fit on the disk?"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import torch

from netwright.config.models import CustomModel, TorchvisionModel
from netwright.config.recipe import Recipe
from netwright.data.prepare import PreparedData
from netwright.data.transform import categories_of
from netwright.errors import MachineError
from netwright.models import build_model
from netwright.runs.checkpoints import NAMES
from netwright.runs.folder import RunFolder
from netwright.runtime.machine import Machine
from netwright.runtime.memory import available_bytes
from netwright.tasks.task import Task
from netwright.training.memory import StepMemory, estimate_memory, optimizer_share
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.build import build_state, sizes_for
from netwright.workflows.checks import check_takes_rows
from netwright.workflows.console import Console
from netwright.workflows.own import Own

MOST_OF_FREE = 0.8  # of what is free that `--batch-size auto` plans with: an estimate is one


def in_batches_that_fit(
    recipe: Recipe, prepared: PreparedData, task: Task, machine: Machine, own: Own, console: Console
) -> Recipe:
    """Halve the batch size until a step fits where the recipe says so (`--batch-size auto`), with as many more
    accumulation steps: an update is still of the same images. The recipe that comes back has the choice."""
    training = recipe.training
    if not training.fit_memory:
        return recipe
    chosen = msgspec.structs.replace(training, fit_memory=False)
    if not training.cached_features:  # else only a head is trained, on what the backbone said
        state = build_state(recipe, prepared, task, machine, own)
        found = estimate_memory(state.model, recipe, machine, prepared.input_shape)
        free = _free_bytes(machine)
        least = 2  # of batch norm
        while found is not None and free is not None and found.of(chosen.batch_size) > MOST_OF_FREE * free:
            if chosen.batch_size // 2 < least:
                break
            chosen = msgspec.structs.replace(
                chosen, batch_size=chosen.batch_size // 2, accumulation_steps=chosen.accumulation_steps * 2
            )
    if chosen.batch_size != training.batch_size:
        console.say(
            f"memory   batches of {chosen.batch_size}, {chosen.accumulation_steps} to an update, in place of "
            f"{training.batch_size}"
        )
    return recipe.replace(training=chosen)


def check_network(recipe: Recipe, prepared: PreparedData, task: Task) -> None:
    """Raise MachineError when the weights alone of a network of ours take more memory than there is.

    It is put together without memory for its weights (torch's meta device), before it is built: layers that fit one by
    one are given by the system, which ends the process as they are filled. Networks of other libraries have sizes of
    their own and are not looked at."""
    free = available_bytes()
    if free is None or isinstance(recipe.model, (CustomModel, TorchvisionModel)):
        return
    if prepared.transform.kind == "rows":
        check_takes_rows(recipe.model)  # else a network for images complains of their size first
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            network = build_model(
                recipe.model, **sizes_for(prepared, task), categories=categories_of(prepared.transform)
            )
        except (RuntimeError, NotImplementedError):  # weights that are worked out from others
            return
    needed = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    if needed > free:
        raise MachineError(
            f"the network's weights alone take {size(needed)}, and {size(free)} are free; take a smaller network, or "
            "smaller images (--image-size)"
        )


def check_memory(state: TrainingState, plan: Plan) -> None:
    """Raise MachineError when a step takes more memory than there is, with the batch size that fits."""
    free, batch_size = _free_bytes(plan.machine), min(plan.train.batch_size, plan.train.num_samples)
    if free is None:
        return
    found = estimate_memory(state.model, plan.recipe, plan.machine, plan.train.input_shape)
    if found is None or found.of(batch_size) <= free:
        return
    raise MachineError(f"{needs(found, batch_size)}, and {size(free)} are free; {advice(found, batch_size, free)}")


def needs(found: StepMemory, batch_size: int) -> str:
    """Say what a step takes."""
    return (
        f"a step of {batch_size} images needs about {size(found.of(batch_size))} of memory ({size(found.fixed_bytes)} "
        f"for gradients, optimizer and copies of the weights, {size(found.bytes_per_image)} an image)"
    )


def advice(found: StepMemory, batch_size: int, free: int) -> str:
    """Say which batch size fits."""
    most = min(found.most_images(free), batch_size - 1)
    if most < 2:
        return "take smaller images (--image-size) or another network"
    power = 2 ** (most.bit_length() - 1)
    return f"--batch-size {power} fits; --batch-size auto finds it, and adds up as many batches as make one of yours"


def _free_bytes(machine: Machine) -> int | None:
    if machine.device.type == "cuda":
        return int(torch.cuda.mem_get_info(machine.device)[0])
    return available_bytes() if machine.device.type == "cpu" else None


def check_disk(folder: RunFolder, state: TrainingState, recipe: Recipe) -> None:
    """Raise MachineError when the run's checkpoints and bundle do not fit on the disk.

    Two are kept while a third is written, each with weights, best weights, their average and the optimizer's state."""
    weights = sum(value.numel() * value.element_size() for value in state.model.state_dict().values())
    share = 2 + (recipe.training.averaging != "none") + optimizer_share(recipe, state.model)
    one = round(weights * share)
    there = sum((folder.checkpoints / name).exists() for name in NAMES)
    needed, free = (3 - there) * one + weights, shutil.disk_usage(folder.path).free
    if needed > free:
        raise MachineError(
            f"the disk is too full: {folder.path} needs {size(needed)} (three checkpoints of {size(one)} at most, the "
            f"weights), and {size(free)} are free; free some, or choose another folder with --out"
        )


@contextmanager
def memory_explained(plan: Plan) -> Iterator[None]:
    """Turn running out of memory into a MachineError that says with what it was tried."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)):
            raise
        free, size_now = _free_bytes(plan.machine), plan.recipe.training.batch_size
        left = "" if free is None else f" ({size(free)} were free after it)"
        raise MachineError(
            f"not enough memory on {plan.machine.device} for batches of {size_now} images{left}; take a smaller "
            "--batch-size, or --batch-size auto, or a smaller --image-size"
        ) from None


def size(num_bytes: float) -> str:
    """Return bytes as a person reads them: "1.5 GB"."""
    for unit in ("bytes", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.0f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} GB"
