"""One sitting of a run: prepare the data, build the network, train to the end or an interruption, write the results."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from torch import nn

from netwright.config.recipe import Recipe
from netwright.data.prepare import PreparedData
from netwright.data.splits import manifest
from netwright.errors import DataError, InputError
from netwright.files.sealed import write_sealed
from netwright.runs.checkpoints import has_checkpoint
from netwright.runs.environment import describe_environment
from netwright.runs.events import EventWriter
from netwright.runs.folder import RunFolder, read_json
from netwright.runs.history import Record, best_record, rewrite_history
from netwright.runtime.machine import Machine, applied, choose_machine
from netwright.training.checkpoint import load_checkpoint
from netwright.training.fit import fit, why_finished
from netwright.training.frozen_weights import keep_frozen, restore_frozen
from netwright.training.state import Progress
from netwright.workflows.announce import announce
from netwright.workflows.build import (
    build_plan,
    build_state,
    build_task,
    open_prepared,
    resolve,
    train_targets,
)
from netwright.workflows.checks import check_monitor, check_own, check_resolutions
from netwright.workflows.console import Console
from netwright.workflows.features import OnFeatures, asked_beside, on_features, with_cached_features
from netwright.workflows.interrupt import StopSwitch, stop_switch
from netwright.workflows.memory import check_disk, check_memory, check_network, in_batches_that_fit, memory_explained
from netwright.workflows.own import Own
from netwright.workflows.pretrained import open_pretrained, with_pretrained
from netwright.workflows.results import write_results
from netwright.workflows.settle import Settled, settle


def sit(folder: RunFolder, recipe: Recipe, console: Console, own: Own, *, plots: bool, test: bool) -> None:
    """Train a run from where it stands to its end. Raises Interrupted when asked to stop."""
    machine = choose_machine(recipe.runtime)
    note_sitting(folder, machine)
    with applied(machine):
        # a checkpoint has all that the weights gave, and the recipe what they decided
        pretrained = None if has_checkpoint(folder.checkpoints) else open_pretrained(recipe, console.say)
        recipe = with_pretrained(recipe, pretrained)
        prepared = open_prepared(
            _with_own_split(recipe, folder),
            own,
            console.say,
            _known_leaks(folder),
            known_files=read_json(folder.split) if folder.split.exists() else None,
        )
        if test and "test" not in prepared.rows:
            raise InputError("--test was asked for, and the data have no test split; set split.test, or leave it out")
        asked = recipe.runtime
        recipe = with_cached_features(resolve(recipe, prepared, machine), prepared, own)
        task = build_task(recipe, prepared)
        keep_data(folder, recipe, prepared)
        if own.model is None and pretrained is None:
            check_network(recipe, prepared, task)
        recipe = in_batches_that_fit(recipe, prepared, task, machine, own, console)
        plan = build_plan(folder, recipe, prepared, task, machine, own)
        state = build_state(recipe, prepared, task, machine, own, pretrained)
        check_monitor(recipe, plan)
        if own.model is not None or own.criterion is not None:
            check_own(plan, state, task)
        check_resolutions(recipe, prepared, state, machine)
        network = state.model  # the whole of it, also where only its head is trained
        if has_checkpoint(folder.checkpoints):
            restore_frozen(folder.checkpoints, network)
        found = on_features(state, plan, prepared, console.say)
        if found.features is not None and pretrained is not None:
            keep_frozen(folder.checkpoints, network)
        state, plan = found.state, found.plan
        if has_checkpoint(folder.checkpoints):
            for notice in load_checkpoint(folder.checkpoints, state):
                console.warn(notice)
            state.progress.finished = still_finished(state.progress, recipe)
        rewrite_history(folder.history, state.history)
        if not state.progress.finished:
            check_memory(state, plan)
            check_disk(folder, state, recipe)
        with memory_explained(plan):  # its trial makes whole steps
            settled = settle(state, plan, asked_beside(found, asked), estimate=not console.quiet)
        plan = settled.plan
        keep_choices(folder, settled, found)
        announce(folder, console, settled, prepared, state, network, found, pretrained)
        with EventWriter(folder.events, state.history) as events, stop_switch() as switch, memory_explained(plan):
            fit(state, plan, Watcher(console, switch, own, events, plan.recipe, network))
        write_results(folder, plan, prepared, state, network, task, own, plots)


def note_sitting(folder: RunFolder, machine: Machine) -> None:
    """Write into environment.json on what the run computes, and from where it was resumed."""
    environment = read_json(folder.environment) if folder.environment.exists() else describe_environment()
    if "device" in environment:
        environment.setdefault("resumed", []).append(describe_environment())
    write_sealed(folder.environment, environment | {"device": machine.describe()})


def keep_choices(folder: RunFolder, settled: Settled, found: OnFeatures) -> None:
    """Write the resolved recipe, and how its choices were made: before the first step, for resuming takes them over."""
    folder.write_recipe(settled.plan.recipe)
    environment = read_json(folder.environment)
    device = settled.plan.machine.describe()
    write_sealed(folder.environment, environment | {"device": device} | settled.to_mapping() | found.to_mapping())


def _with_own_split(recipe: Recipe, folder: RunFolder) -> Recipe:
    """On resume the splits are the ones that the run has already, whatever became of where they came from."""
    if not folder.split.exists():
        return recipe
    return recipe.replace(split=msgspec.structs.replace(recipe.split, manifest=str(folder.split)))


def _known_leaks(folder: RunFolder) -> dict[str, Any] | None:
    """Return what the leak gate found when the run began; None when it begins now."""
    if not (folder.split.exists() and folder.data.exists()):
        return None
    found: dict[str, Any] = read_json(folder.data).get("leaks", {})
    return found


def keep_data(folder: RunFolder, recipe: Recipe, prepared: PreparedData) -> None:
    """Write the data's description and the split; on resume, refuse other data."""
    labelled = prepared.labelled
    for path in (folder.data, folder.split):
        known = read_json(path) if path.exists() else {"fingerprint": prepared.fingerprint}
        if known["fingerprint"] != prepared.fingerprint:
            raise DataError(
                f"the data of {folder.path} have changed since the run began (fingerprint {prepared.fingerprint[:12]}, "
                f"then {known['fingerprint'][:12]}); put them back, or start a new run"
            )
    write_sealed(
        folder.data,
        {
            "name": labelled.name,
            "fingerprint": prepared.fingerprint,
            "split_fingerprints": prepared.split_fingerprints,
            "task": labelled.task,
            "class_names": list(labelled.class_names),
            "counts": {split: _counts(prepared, split) for split in prepared.rows},
            **_about_targets(prepared),
            "mean": list(prepared.transform.mean),
            "std": list(prepared.transform.std),
            "notices": list(labelled.notices),
            "leaks": dict(prepared.leaks),
        },
    )
    write_sealed(
        folder.split, manifest(labelled, prepared.rows, seed=recipe.split.seed, data_fingerprint=prepared.fingerprint)
    )


def _about_targets(prepared: PreparedData) -> dict[str, Any]:
    """Return what else of train's targets decides: numbers' mean and deviation, how many pixels masks' classes have."""
    labelled = prepared.labelled
    if labelled.task == "classification":
        return {}
    targets = train_targets(prepared)
    if targets.counts is None:
        return {"targets": targets.to_mapping()}
    return {"pixels": dict(zip(labelled.class_names, targets.counts.tolist(), strict=True))}


def _counts(prepared: PreparedData, split: str) -> dict[str, int]:
    """Return how many samples of each class a split has; of numbers and masks how many there are."""
    names, targets = prepared.labelled.class_names, prepared.labelled.targets[prepared.rows[split]]
    if prepared.labelled.task != "classification":
        return {"all": len(targets)}
    return dict(zip(names, np.bincount(targets, minlength=len(names)).tolist(), strict=True))


def still_finished(progress: Progress, recipe: Recipe) -> str:
    """Return why a run that had finished is still finished by its recipe, which may now have more epochs."""
    if not progress.finished or (progress.finished == "time" and recipe.training.max_minutes is not None):
        return progress.finished
    return why_finished(progress, recipe.training)


@dataclass
class Watcher:
    """Passes the loop's events on: to the console, to TensorBoard, to the user's hook."""

    console: Console
    switch: StopSwitch
    own: Own
    events: EventWriter
    recipe: Recipe
    network: nn.Module

    def step(self, done: int, total: int, num_samples: int) -> None:
        epoch = len(self.events.history) + 1
        self.console.step(epoch, self.recipe.training.epochs, done, total, num_samples)

    def epoch(self, record: Record, model: nn.Module) -> None:
        self.events.write(record)
        best = best_record(self.events.history, self.recipe.training.monitor) is record
        self.console.epoch(record, self.recipe.training.epochs, best)
        if "skipped_updates" in record:
            left = record["skipped_updates"]
            self.console.warn(f"{left} update{'s' * (left > 1)} left out in epoch {record['epoch']}: not finite")
        if self.own.on_epoch is not None:
            self.own.on_epoch(record, self.network)

    def stop_requested(self) -> bool:
        return self.switch.on
