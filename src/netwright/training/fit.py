"""The training loop, the only one. The order of events:

    for every epoch
        train_epoch    for every batch: seed -> outputs -> loss -> gradient; every `accumulation_steps` batches an
                       update (clip -> lr by the schedule -> optimizer -> average); a checkpoint when due; leave if
                       told to stop (with a solver: the head's optimum in place of all that)
        validate       the val split in eval mode, averaged weights: loss, the task's numbers, the user's own metrics
        record         one line of the history; the best weights are kept; is the run finished?
        checkpoint     when 10 seconds or more have passed since the last one, and at the end

A resumed run enters at the batch where it left: batches, seeds and learning rates are functions of where it stands.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from netwright.config.sections import Training
from netwright.data.batches import Batch
from netwright.errors import Interrupted, WorkFailed
from netwright.evaluation.outputs import Outputs, run_network
from netwright.runs.history import Record, append_record, best_record
from netwright.runtime.randomness import seeds_of_epoch, set_seed
from netwright.training.averaging import average, averaged
from netwright.training.clock import Clock
from netwright.training.fine_tuning import enter_epoch, train_mode
from netwright.training.head_solver import penalty_of
from netwright.training.not_finite import (
    NotFinite,
    check_epoch,
    check_gradient,
    leave_out,
    looks_now,
    note,
    read_noted,
    statistics,
)
from netwright.training.plan import Listener, Plan
from netwright.training.schedule import Position, is_constant, lr_factor
from netwright.training.shortcut import Shortcut
from netwright.training.shortcuts import build_shortcut
from netwright.training.solve import solve_epoch
from netwright.training.state import Progress, TrainingState


def fit(state: TrainingState, plan: Plan, listener: Listener) -> None:
    """Train until the recipe's last epoch, its patience or its time is reached; `state` is changed in place.

    Raises Interrupted (after a checkpoint) when the listener asks to stop, WorkFailed when the loss is not finite."""
    shortcut = build_shortcut(state.model, plan, plan.machine)
    with Clock(plan, state) as clock:
        while not state.progress.finished:
            if plan.solver is None:
                train_epoch(state, plan, listener, clock, shortcut)
            else:
                solve_epoch(state, plan, plan.solver)
            state.progress.epoch_seconds += clock.lap()
            validation = validate(state, plan) if plan.val is not None else None
            record = make_record(state, plan, validation, clock.lap())
            end_epoch(state, plan, record, clock)
            listener.epoch(record, state.model)
            clock.lap()
            _stop_if_asked(state, plan, listener, clock)


def end_epoch(state: TrainingState, plan: Plan, record: Record, clock: Clock) -> None:
    """Keep the epoch's record and its weights if they are the best, decide whether the run is over, save it."""
    state.history.append(record)
    best = best_record(state.history, plan.recipe.training.monitor)
    if best is record:
        state.keep_best()
    _begin_next_epoch(state)
    if not state.progress.finished:
        time_up = "time" if clock.time_is_up() else ""
        state.progress.finished = why_finished(state.progress, plan.recipe.training) or time_up
    if plan.folder is not None:
        append_record(plan.folder.history, record)
    if state.progress.finished or clock.due_at_epoch_end():
        clock.checkpoint(wait=bool(state.progress.finished))


def train_epoch(
    state: TrainingState, plan: Plan, listener: Listener, clock: Clock, shortcut: Shortcut | None = None
) -> None:
    """Train on the rest of the present epoch, from the batch where the run stands."""
    training, progress = plan.recipe.training, state.progress
    enter_epoch(state.model, state.optimizer, training, progress.epoch)
    if shortcut is not None:
        shortcut.enter_epoch()
    total = plan.train.num_batches
    seeds = seeds_of_epoch(training.seed, "step", progress.epoch, total)
    group_weight: Tensor | float = 0.0
    broken = False
    for batch in plan.train.epoch(progress.epoch, progress.batch):
        set_seed(seeds[progress.batch])
        progress.batch += 1
        last = progress.batch == total
        group_end = last or progress.batch % training.accumulation_steps == 0
        before = statistics(state.model, training)
        try:
            if not broken:  # else a batch of this group was not finite, and its update is left out
                group_weight = group_weight + train_batch(state, plan, batch, shortcut)
            if group_end and not broken:
                update(state, plan, group_weight, shortcut)
        except NotFinite as found:
            leave_out(state, plan, batch, found, before)
            broken = True
        if not group_end:
            continue
        group_weight, broken = 0.0, False
        listener.step(progress.batch, total, batch.targets.shape[0])
        if not last:
            _between_steps(state, plan, listener, clock)
            if progress.finished:
                break
    check_epoch(state, plan, batch)


def train_batch(state: TrainingState, plan: Plan, batch: Batch, shortcut: Shortcut | None = None) -> Tensor | int:
    """Add one batch's gradient and its share of the epoch's sums; return the batch's weight."""
    computed = shortcut.compute(batch) if shortcut is not None else None
    if computed is not None:  # the gradient with it
        loss, weight, outputs = computed.loss, computed.weight, computed.outputs
    else:
        with plan.machine.autocast():
            outputs = state.model(plan.machine.arrange(batch.images))
        loss, weight = plan.batch_loss(outputs, batch.targets)
    seen: Tensor | float = loss.detach()
    if looks_now(state, plan):
        read_noted(state)
        seen = loss.item()
    else:
        note(state, "the loss", loss.detach())
    if isinstance(seen, float) and not math.isfinite(seen):
        raise NotFinite("the loss", seen)
    if computed is None:
        # several batches to an update: gradients of sums are added, and divided by the whole weight in `update`
        scaled = loss * weight if plan.recipe.training.accumulation_steps > 1 else loss
        scaled.backward()  # type: ignore[no-untyped-call]
    state.sums.add(seen, weight, outputs.detach(), batch.targets)
    return weight


def update(state: TrainingState, plan: Plan, group_weight: Tensor | float, shortcut: Shortcut | None = None) -> None:
    """Change the weights by the gradients that were gathered since the last update."""
    training = plan.recipe.training
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if training.accumulation_steps > 1:
        torch._foreach_div_(gradients, group_weight)
    norm = nn.utils.get_total_norm(gradients) if training.clip_norm is not None else None
    if looks_now(state, plan):
        whole = shortcut.whole_gradient if shortcut is not None else None
        check_gradient(gradients if whole is None else [whole], norm)
    elif norm is not None:
        note(state, "the gradient", norm)
    if training.clip_norm is not None and norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, training.clip_norm, norm)
    set_lr(state, plan)
    state.optimizer.step()
    for parameter in parameters:  # as zero_grad(), which takes 17 µs for it
        parameter.grad = None
    state.progress.step += 1
    state.progress.skipped_in_a_row = 0
    average(state, training)


def set_lr(state: TrainingState, plan: Plan) -> None:
    """Set every group's lr for the coming update; `initial_lr` is what the optimizer was built with.

    A group with `epochs` has the whole schedule in them."""
    if is_constant(plan.recipe.lr_scheduler):
        return
    training = plan.recipe.training
    # from epoch and batch and not from the count of updates: an epoch that was cut by the clock is behind with those
    done = math.ceil(state.progress.batch / training.accumulation_steps) - 1
    step = (state.progress.epoch - 1) * plan.steps_per_epoch + done
    factors: dict[int, float] = {}  # by epochs: most often all groups have the run's
    for group in state.optimizer.param_groups:
        epochs = group.get("epochs", training.epochs)
        if epochs not in factors:
            total = plan.steps_per_epoch * epochs
            position = Position(step, plan.steps_per_epoch, total, state.history, training.monitor)
            factors[epochs] = lr_factor(plan.recipe.lr_scheduler, position)
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factors[epochs]


def validate(state: TrainingState, plan: Plan) -> Outputs:
    """Run the val split in eval mode, with the averaged weights where there are any."""
    assert plan.val is not None
    state.model.eval()
    with averaged(state):
        return run_network(state.model, plan.val.epoch(0), plan.task, plan.batch_loss, plan.machine)


def make_record(state: TrainingState, plan: Plan, validation: Outputs | None, val_seconds: float) -> Record:
    """Return the epoch's line of the history (CONTRACTS: accuracies are fractions, seconds the epoch's own)."""
    record: Record = {
        "epoch": state.progress.epoch,
        "train_loss": state.sums.mean_loss,
    }
    numbers = plan.task.numbers(state.sums.counts, state.sums.samples)
    record |= {f"train_{name}": number for name, number in numbers.items()}
    if validation is not None:
        record |= val_numbers(validation, plan)
        record["val_seconds"] = round(val_seconds, 4)
    if plan.solver is None:
        record["lr"] = state.optimizer.param_groups[0]["lr"]
    else:
        record["penalty"] = penalty_of(state.progress.epoch)
    record["step"] = state.progress.step
    record["train_seconds"] = round(state.progress.epoch_seconds, 4)
    record["num_train_samples"] = state.sums.samples
    if state.progress.skipped:
        record["skipped_updates"] = state.progress.skipped
    if state.progress.evaluations:
        record["evaluations"] = list(state.progress.evaluations)
    return record


def val_numbers(validation: Outputs, plan: Plan) -> dict[str, float]:
    """Return val loss, the task's numbers and the user's own metrics. Raises WorkFailed when one is not finite."""
    numbers = {"val_loss": validation.loss, **{f"val_{name}": value for name, value in validation.numbers.items()}}
    for name, metric in plan.metrics.items():
        numbers[f"val_{name}"] = float(metric(validation.answers, validation.targets))
    for name, number in numbers.items():
        if not math.isfinite(number):  # neither JSON nor the choice of the best epoch knows what to do with it
            why = "lower the lr" if name == "val_loss" else "let the metric give a finite number in every epoch"
            raise WorkFailed(f"{name} is {number}; {why}")
    return numbers


def why_finished(progress: Progress, training: Training) -> str:
    """Return `epochs` or `patience` when the epochs that are done reach the recipe's end, else nothing."""
    done = progress.epoch - 1
    if done >= training.epochs:
        return "epochs"
    return "patience" if training.patience is not None and done - progress.best_epoch >= training.patience else ""


def _begin_next_epoch(state: TrainingState) -> None:
    state.progress.epoch += 1
    state.progress.batch = 0
    state.progress.epoch_seconds = 0.0
    state.progress.evaluations = []
    state.progress.skipped = 0
    state.sums.reset()


def _between_steps(state: TrainingState, plan: Plan, listener: Listener, clock: Clock) -> None:
    """Do what can only be done between two updates of an epoch: look at val, save, stop."""
    training, progress = plan.recipe.training, state.progress
    every = training.eval_every_steps
    skipped = progress.skipped_in_a_row > 0
    if every is not None and progress.step % every == 0 and plan.val is not None and not skipped:
        progress.epoch_seconds += clock.lap()
        numbers: dict[str, Any] = {"step": progress.step, "train_loss": state.sums.mean_loss}
        progress.evaluations.append(numbers | val_numbers(validate(state, plan), plan))
        train_mode(state.model, training, progress.epoch)
        clock.lap()
    if clock.time_is_up():
        progress.finished = "time"
    if clock.due(training.checkpoint_seconds):
        progress.epoch_seconds += clock.lap()
        clock.checkpoint()
        clock.lap()
    _stop_if_asked(state, plan, listener, clock)


def _stop_if_asked(state: TrainingState, plan: Plan, listener: Listener, clock: Clock) -> None:
    """Save the run and raise Interrupted when the listener asks to stop; a finished run has no more to stop."""
    progress = state.progress
    if progress.finished or not listener.stop_requested():
        return
    progress.epoch_seconds += clock.lap()
    clock.checkpoint(wait=True)
    if not progress.batch:
        raise Interrupted(f"interrupted after epoch {progress.epoch - 1}")
    raise Interrupted(f"interrupted in epoch {progress.epoch}, after step {progress.step}")
