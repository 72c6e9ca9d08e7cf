"""The summary before the first step: what will be trained on what, where, and about how long it will take."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from netwright.config.optimization import Dice
from netwright.config.recipe import Recipe
from netwright.data.leaks.gate import said
from netwright.data.prepare import PreparedData
from netwright.models.fitting import Fit
from netwright.models.pretrained import Pretrained
from netwright.runs.folder import RunFolder
from netwright.training.fine_tuning import TrainedStage, trained_stages
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.console import Console
from netwright.workflows.duration import duration
from netwright.workflows.features import OnFeatures
from netwright.workflows.settle import Settled


def announce(
    folder: RunFolder,
    console: Console,
    settled: Settled,
    prepared: PreparedData,
    state: TrainingState,
    network: nn.Module,
    found: OnFeatures,
    pretrained: Pretrained | None = None,
) -> None:
    """Say what will be trained on what, where, and about how long it will take."""
    plan = settled.plan
    labelled = prepared.labelled
    console.things = "rows" if prepared.transform.kind == "rows" else "images"
    counts = ", ".join(f"{len(rows):,} {split}" for split, rows in prepared.rows.items())
    console.say(f"data     {labelled.name}: {counts}; {_inputs_of(prepared)}, {_targets_of(prepared)}")
    for notice in labelled.notices:
        console.say(f"         {notice}")
    say_leaks(console, prepared.leaks)
    _say_network(console, plan, network)
    if pretrained is not None and state.fit is not None:
        _say_weights(console, pretrained, state.fit)
    _say_stages(console, plan, network)
    if found.features is not None:
        console.say(f"features {found.describe()}")
        for notice in found.features.notices:
            console.say(f"         {notice}")
    _say_training(console, plan, state)
    _say_balance(console, plan.recipe)
    about = f"; about {duration(settled.expected_seconds)}" if settled.expected_seconds is not None else ""
    console.say(f"machine  {plan.machine.describe()}{about}")
    if settled.describe():
        console.say(f"chosen   {settled.describe()}")
    going_on = (
        f", goes on in epoch {state.progress.epoch}" if state.progress.step and not state.progress.finished else ""
    )
    console.say(f"run      {folder.path}{going_on}")


def _inputs_of(prepared: PreparedData) -> str:
    """Say what the network sees: "28 × 28 gray", "12 features of 9 columns"."""
    transform = prepared.transform
    if transform.table is not None:
        return f"{transform.channels} features of {len(transform.table.columns)} columns"
    height, width = transform.image_size
    return f"{height} × {width} {'gray' if transform.channels == 1 else 'RGB'}"


def _targets_of(prepared: PreparedData) -> str:
    """Say what is to be learnt: "10 classes", "a number, 3 to 117 in train"."""
    labelled = prepared.labelled
    if labelled.class_names:
        return f"{len(labelled.class_names)} classes{' of pixels' if labelled.masks is not None else ''}"
    numbers = labelled.targets[prepared.rows["train"]]
    return f"a number, {numbers.min():.4g} to {numbers.max():.4g} in train"


def say_leaks(console: Console, leaks: Mapping[str, Any]) -> None:
    """Say what the leak gate found; as a warning what makes the results doubtful and nobody has published so."""
    lines = said(leaks)
    doubtful = bool(leaks) and leaks["splits"] == "given" and any(part["listed"] for part in leaks["across"])
    for place, line in enumerate(lines):
        tell = console.warn if doubtful and place == 0 else console.say
        tell(f"{'leaks' if place == 0 else '':<8} {line}")


def _say_network(console: Console, plan: Plan, network: nn.Module) -> None:
    parameters = sum(p.numel() for p in network.parameters())
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    model = plan.recipe.model
    name = model.name if model.name != "custom" else type(network).__name__
    share = "" if trained == parameters else f", {trained:,} of them trained"
    start = ""
    if getattr(network, "begins_as_linear", False):
        start = "; begins as the best linear model of train"
    console.say(f"network  {name}: {parameters:,} parameters{share}{start}")


def _say_weights(console: Console, pretrained: Pretrained, fit: Fit) -> None:
    console.say(f"weights  {pretrained.title}: {fit.describe()}")
    for notice in pretrained.notices:
        console.say(f"         {notice}")


def _say_stages(console: Console, plan: Plan, network: nn.Module) -> None:
    """Say which stages are trained, from which epoch on and with which lr, where not all are alike."""
    training, factor = plan.recipe.training, plan.recipe.optimizer.stage_lr_factor
    if training.freeze == "none" and factor == 1:
        return
    stages = trained_stages(network, training)
    for place, run in enumerate(_alike(stages, factor)):
        first, last = stages[run[0]], stages[run[-1]]
        name = first.name if first is last else f"{first.name} … {last.name}"
        number = sum(stages[each].num_parameters for each in run)
        how = _how(first.begins, training.epochs)
        rate = f", lr × {factor ** (len(stages) - 1 - run[0]):.3g}" if factor != 1 and first.begins is not None else ""
        console.say(f"{'' if place else 'stages':<8} {name}: {number:,} parameters {how}{rate}")


def _how(begins: int | None, num_epochs: int) -> str:
    if begins is None or begins == 1:
        return "trained" if begins else "frozen"
    if begins > num_epochs:
        return f"frozen (to be trained from epoch {begins}, and the run ends with {num_epochs})"
    return f"from epoch {begins}"


def _alike(stages: Sequence[TrainedStage], factor: float) -> list[list[int]]:
    """Put stages that follow each other and are treated alike together, by their places."""
    runs: list[list[int]] = []
    for place, stage in enumerate(stages):
        begins = stages[runs[-1][-1]].begins if runs else 0
        if runs and stage.begins == begins and (factor == 1 or begins is None):
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _say_training(console: Console, plan: Plan, state: TrainingState) -> None:
    training, group = plan.recipe.training, state.optimizer.param_groups[0]
    lr = group.get("initial_lr", group["lr"])
    if plan.solver is not None:
        console.say(f"training {_counted(training.epochs, 'optimum')} of the head by lbfgs, for falling penalties")
        return
    console.say(
        f"training {_counted(training.epochs, 'epoch')} of {_counted(plan.steps_per_epoch, 'step')}, "
        f"batch {training.batch_size}, {plan.recipe.optimizer.name} lr {lr:g}"
    )


def _say_balance(console: Console, recipe: Recipe) -> None:
    """Say what training as if classes were equally frequent does to the probabilities, see docs/imbalance.md."""
    balanced = getattr(recipe.criterion, "class_weights", None) == "balanced"
    if balanced and isinstance(recipe.criterion, Dice):
        console.say(
            "         small classes count more than large ones in Dice's mean, which counts all alike without weights"
        )
    elif balanced or recipe.training.sampling == "balanced":
        console.say("         all classes count equally, and probabilities will be as if they were equally frequent")


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}".replace("optimums", "optima")
