"""The summary before the first step: what will be trained on what, where, and about how long it will take."""

from netwright.data.prepare import PreparedData
from netwright.runs.folder import RunFolder
from netwright.training.estimate import estimate_seconds
from netwright.training.fit import Plan
from netwright.training.state import TrainingState
from netwright.workflows.console import Console, duration


def announce(folder: RunFolder, console: Console, plan: Plan, prepared: PreparedData, state: TrainingState) -> None:
    """Say what will be trained on what, where, and about how long it will take."""
    recipe, labelled = plan.recipe, prepared.labelled
    height, width = prepared.transform.image_size
    counts = ", ".join(f"{len(rows):,} {split}" for split, rows in prepared.rows.items())
    colour = "gray" if prepared.transform.channels == 1 else "RGB"
    console.say(f"data     {labelled.name}: {counts}; {height} × {width} {colour}, {len(labelled.class_names)} classes")
    for notice in labelled.notices:
        console.say(f"         {notice}")
    parameters = sum(p.numel() for p in state.model.parameters())
    trained = sum(p.numel() for p in state.model.parameters() if p.requires_grad)
    name = recipe.model.name if recipe.model.name != "custom" else type(state.model).__name__
    share = "" if trained == parameters else f", {trained:,} of them trained"
    console.say(f"network  {name}: {parameters:,} parameters{share}")
    console.say(
        f"training {recipe.training.epochs} epochs of {plan.steps_per_epoch:,} steps, batch "
        f"{recipe.training.batch_size}, {recipe.optimizer.name}"
        f" lr {state.optimizer.param_groups[0].get('initial_lr', state.optimizer.param_groups[0]['lr']):g}"
    )
    seconds = estimate_seconds(state, plan)
    about = f"; about {duration(seconds)}" if seconds is not None else ""
    console.say(f"machine  {plan.machine.describe()}{about}")
    going_on = f", goes on in epoch {state.progress.epoch}" if state.progress.step else ""
    console.say(f"run      {folder.path}{going_on}")
