"""A loss or gradient that is NaN or infinite: found at its step, explained, and left out where the recipe says so.

On a CPU every loss and every gradient is looked at, before the update. On a GPU reading them makes the host wait:
there the losses (and the gradients' norms, where they are bounded) stay on the device and are read every 50 steps, in
one transfer, so that the first that was not finite is named with its own step; the weights are looked at before they
are saved. With `on_nan: skip` all of it is looked at in every step."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netwright.config.sections import Training
from netwright.data.batches import Batch
from netwright.errors import WorkFailed, listed
from netwright.files.sealed import write_sealed
from netwright.runtime.randomness import seed_step
from netwright.training.plan import Plan
from netwright.training.state import TrainingState, Unread

CHECK_EVERY_STEPS = 50  # how often a GPU's loss is looked at
MOST_IN_A_ROW = 20  # updates that may be left out one after the other: more is no accident


class NotFinite(Exception):
    """`what` ("the loss", "the gradient") is NaN or infinite, in the present batch or in an earlier one (`unread`)."""

    def __init__(self, what: str, value: float, unread: Unread | None = None) -> None:
        super().__init__(f"{what} is {value}")
        self.what, self.value, self.unread = what, value, unread


def reads_every_step(plan: Plan) -> bool:
    """Say whether losses and gradients are read in every step."""
    return plan.machine.device.type == "cpu" or plan.recipe.training.on_nan == "skip"


def looks_now(state: TrainingState, plan: Plan) -> bool:
    """Say whether this step's numbers are looked at."""
    return reads_every_step(plan) or state.progress.step % CHECK_EVERY_STEPS == CHECK_EVERY_STEPS - 1


def note(state: TrainingState, what: str, value: Tensor) -> None:
    """Keep a number () of this step on its device, to be read later."""
    lr = float(state.optimizer.param_groups[0]["lr"])
    state.unread.append(Unread(what, value, state.progress.batch, state.progress.step, lr))


def read_noted(state: TrainingState) -> None:
    """Read what was noted, in one transfer. Raises NotFinite for the first number that is not finite."""
    noted, state.unread = state.unread, []
    values = torch.stack([each.value.float() for each in noted]).tolist() if noted else []
    for each, value in zip(noted, values, strict=True):
        if not math.isfinite(value):
            raise NotFinite(each.what, value, each)


def check_gradient(gradients: Sequence[Tensor], norm: Tensor | None = None) -> None:
    """Raise NotFinite when a gradient has a value that is not finite.

    `norm` () is their norm where it is known: a finite one says that they are, with no further pass over them. Else
    784-200-10 takes 25 µs of a step of 960 at batch 64, most of it to read the 157,000 numbers of its first layer."""
    if norm is not None and math.isfinite(norm.item()):
        return
    if not are_finite(gradients):
        bad = next(gradient for gradient in gradients if not gradient.isfinite().all())
        raise NotFinite("the gradient", bad.sum().item())


def are_finite(tensors: Sequence[Tensor]) -> bool:
    """Say whether all values are finite. Sums are looked at first: torch.isfinite takes several passes and memory."""
    if tensors and tensors[0].device.type != "cpu":
        finite = math.isfinite(torch.stack([tensor.sum(dtype=torch.float32) for tensor in tensors]).sum().item())
    else:
        finite = math.isfinite(sum([tensor.sum().item() for tensor in tensors]))  # in fp64: no overflow of its own
    return finite or all(bool(tensor.isfinite().all()) for tensor in tensors)  # sums of finite values may overflow


def check_noted(state: TrainingState, plan: Plan) -> None:
    """Read what was noted. Raises WorkFailed that names the first step whose number was not finite."""
    try:
        read_noted(state)
    except NotFinite as found:
        raise WorkFailed(explain(state, plan, None, found)) from None


def check_weights(model: nn.Module, step: int) -> None:
    """Raise WorkFailed when weights or running statistics are not finite: they are not to be saved."""
    values = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    if are_finite(list(values.values())):
        return
    name = next(name for name, value in values.items() if not value.isfinite().all())
    raise WorkFailed(
        f"{name} of the network is not finite after step {step}: the checkpoint before it is kept; lower the lr, or "
        "bound the gradient (--set training.clip_norm=1)"
    )


def check_epoch(state: TrainingState, plan: Plan, last: Batch) -> None:
    """Raise WorkFailed when the epoch's loss is not finite, which a GPU's may be unseen, or all of it was left out."""
    if not state.sums.samples:
        raise WorkFailed(
            f"all updates of epoch {state.progress.epoch} were left out: no loss was finite; lower the lr, or look at "
            "the data"
        )
    check_noted(state, plan)
    if not math.isfinite(state.sums.loss):
        raise WorkFailed(explain(state, plan, last, NotFinite("the loss", state.sums.loss)))


def statistics(model: nn.Module, training: Training) -> list[tuple[Tensor, Tensor]]:
    """Return running statistics with copies of them, where updates may be left out: the batch has changed them then."""
    return [(buffer, buffer.clone()) for buffer in model.buffers()] if training.on_nan == "skip" else []


def leave_out(
    state: TrainingState,
    plan: Plan,
    batch: Batch,
    found: NotFinite,
    before: Sequence[tuple[Tensor, Tensor]] = (),
) -> None:
    """Count an update that is left out, drop its gradient, and put running statistics back to `before`.

    The batch is the one before `progress.batch`.

    Raises WorkFailed that explains it where the recipe says stop, or too many were left out in a row."""
    progress = state.progress
    progress.skipped += 1
    progress.skipped_in_a_row += 1
    if plan.recipe.training.on_nan == "stop" or progress.skipped_in_a_row > MOST_IN_A_ROW:
        raise WorkFailed(explain(state, plan, batch, found)) from None
    for group in state.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
    with torch.no_grad():
        for buffer, value in before:
            buffer.copy_(value)


def explain(state: TrainingState, plan: Plan, batch: Batch | None, found: NotFinite) -> str:
    """Say where it happened: epoch, batch, images, lr and layer; the whole list of images goes into the run.

    `batch` is the present one, which is not needed where an earlier number was found."""
    progress, training = state.progress, plan.recipe.training
    number, step, lr = progress.batch, progress.step + 1, float(state.optimizer.param_groups[0]["lr"])
    if (unread := found.unread) is not None:  # made again: it is a function of (seed, epoch, number)
        number, step, lr = unread.batch, unread.step + 1, unread.lr
        batch = next(iter(plan.train.epoch(progress.epoch, number - 1)))
    assert batch is not None
    names = plan.train.prepared.labelled.sample_names
    images = [str(names[row]) for row in batch.rows.tolist()]
    layer = first_not_finite(state, plan, batch) if unread is None else _in_hindsight(batch)
    about: dict[str, Any] = {"what": str(found), "layer": layer, "epoch": progress.epoch, "batch": number}
    about |= {"step": step, "lr": lr, "images": images}
    kept = ""
    if plan.folder is not None:
        write_sealed(plan.folder.path / "not_finite.json", about)
        kept = f" (all in {plan.folder.path / 'not_finite.json'})"
    row = f"; {MOST_IN_A_ROW} updates in a row were left out before it" if training.on_nan == "skip" else ""
    return (
        f"{found} in epoch {progress.epoch}, batch {number} (step {step}), at lr {lr:g}; first "
        f"not finite: {layer}; images: {listed(images, 3)}{kept}{row}; lower the lr (--lr {lr / 10:g}), bound the "
        "gradient (--set training.clip_norm=1), or leave such updates out (--on-nan skip)"
    )


def _in_hindsight(batch: Batch) -> str:
    """Say what is known of a batch whose updates are in the weights by now."""
    if not batch.images.isfinite().all():
        return "the images themselves"
    return "a layer that only --on-nan skip would name here: it reads every step, and a GPU's are read later"


def first_not_finite(state: TrainingState, plan: Plan, batch: Batch) -> str:
    """Run the batch again, forward and backward, and name the first value in that order that is not finite."""
    if not batch.images.isfinite().all():
        return "the images themselves"
    for name, value in state.model.named_parameters():
        if not value.isfinite().all():
            return f"{name}, since an update before this batch"
    seen: list[str] = []
    hooks: list[Any] = []
    for name, module in state.model.named_modules():
        if not any(module.children()):
            layer = f"{name or 'the network'} ({type(module).__name__})"
            hooks.append(module.register_forward_hook(_looking_at(layer, seen)))
    for name, parameter in state.model.named_parameters():
        if parameter.requires_grad:
            hooks.append(_on_gradient(parameter, f"the gradient of {name}", seen))
    try:
        seed_step(plan.recipe.training.seed, "step", state.progress.epoch, state.progress.batch - 1)
        with plan.machine.autocast():
            outputs = state.model(plan.machine.arrange(batch.images))
        loss, _ = plan.batch_loss(outputs, batch.targets)
        if not seen and not loss.isfinite().all():
            return "the loss of outputs that are finite"
        if not seen:
            loss.backward()  # type: ignore[no-untyped-call]
    finally:
        for hook in hooks:
            hook.remove()
    return seen[0] if seen else "nothing when this batch is run again alone"


def _looking_at(layer: str, seen: list[str]) -> Callable[..., None]:
    """A forward hook that notes an output that is not finite, and later its gradient."""

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return
        if not output.isfinite().all():
            seen.append(f"the output of {layer}")
        elif output.requires_grad:
            _on_gradient(output, f"the gradient at the output of {layer}", seen)

    return look


def _on_gradient(tensor: Tensor, what: str, seen: list[str]) -> Any:
    """Note it when the tensor's gradient is not finite; return the hook."""

    def look(gradient: Tensor) -> None:
        if not gradient.isfinite().all():
            seen.append(what)

    return tensor.register_hook(look)  # type: ignore[no-untyped-call]
