"""`netwright resume`: an interrupted run goes on, a finished one goes further."""

from pathlib import Path

import msgspec

from netwright.config.recipe import custom_parts
from netwright.errors import InputError, RecipeError
from netwright.runs.folder import RunFolder, find_run, read_json
from netwright.workflows.console import Console
from netwright.workflows.mend import epochs_done, mend
from netwright.workflows.own import Own
from netwright.workflows.run import Run
from netwright.workflows.train import run_training


def resume(
    run: str | Path, *, epochs: int | None = None, console: Console | None = None, own: Own | None = None
) -> Run:
    """Go on with a run from its checkpoint; `epochs` is a new total. Without a checkpoint it starts over.

    Raises InputError when there is no such run, RecipeError when `epochs` is not more than was trained, or when an own
    object is missing."""
    folder = find_run(run)
    console, own = console or Console(), own or Own()
    recipe = mend(folder, console)
    missing = [part for part in custom_parts(recipe) if getattr(own, part) is None]
    if missing or (recipe.data.source.startswith("<") and own.data is None):
        part = missing[0] if missing else "data"
        raise InputError(f"the {part} of {folder.path} was your own object; give it again: nw.resume(path, {part}=…)")
    if epochs is not None:
        done = epochs_done(folder)
        if epochs <= done:
            raise RecipeError(f"--epochs {epochs} is the new total, and {done} are done; give more than {done}")
        old = recipe.training
        # what ended the shorter run, its time or its patience, is not to end the longer one at once
        patience = None if _ended_by(folder) == "patience" else old.patience
        recipe = recipe.replace(
            training=msgspec.structs.replace(old, epochs=epochs, max_minutes=None, patience=patience)
        )
        console.say(f"schedule {recipe.lr_scheduler.name} over {epochs} epochs in place of {old.epochs}")
        if patience != old.patience:
            console.say(f"patience it ended by its patience of {old.patience} epochs, which no longer counts")
    return run_training(folder, recipe, test=False, console=console, own=own)


def _ended_by(folder: RunFolder) -> str | None:
    """Return what ended a run: epochs, patience or time; None when it has not ended."""
    if not folder.metrics.exists():
        return None
    stopped_by: str | None = read_json(folder.metrics)["stopped_by"]
    return stopped_by
