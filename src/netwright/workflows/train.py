"""`netwright train`: labelled images -> a run with a bundle. The whole road, in the order it is walked."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.config.recipe import Recipe
from netwright.errors import InputError, MachineError
from netwright.files.sealed import write_sealed
from netwright.runs.environment import describe_environment
from netwright.runs.folder import RunFolder, create_run
from netwright.runs.history import read_history
from netwright.workflows.console import Console
from netwright.workflows.own import Own
from netwright.workflows.plan import plan_name
from netwright.workflows.supervise import train_in

if TYPE_CHECKING:
    from netwright.workflows.run import Run


def train_recipe(
    recipe: Recipe,
    *,
    out: Path | None = None,
    test: bool = False,
    console: Console | None = None,
    name: str | None = None,
    own: Own | None = None,
    plots: bool = True,
) -> "Run":
    """Train what the recipe says in a new run folder, and with `test` open the test split at the end.

    Raises InputError for bad data or recipe, MachineError, WorkFailed; an interrupted run is returned, `.interrupted`.
    """
    was_there = out is not None and out.exists()
    folder = create_run(recipe, out, name or plan_name(recipe.data.source))
    write_sealed(folder.environment, describe_environment())
    try:
        return run_training(folder, recipe, test=test, console=console or Console(), own=own or Own(), plots=plots)
    except (InputError, MachineError):
        # refused before anything was trained: there is nothing to keep, and the same command can be tried again
        if not read_history(folder.history) and not any(folder.checkpoints.iterdir()):
            shutil.rmtree(folder.path, ignore_errors=True)
            if was_there:  # an empty folder of the user's, which is given back empty
                folder.path.mkdir(exist_ok=True)
        raise


def run_training(
    folder: RunFolder, recipe: Recipe, *, test: bool, console: Console, own: Own, plots: bool = True
) -> "Run":
    """Train in a run's folder, from its checkpoint where it has one."""
    interrupted = train_in(folder, recipe, console=console, own=own, plots=plots, test=test)
    from netwright.workflows.run import Run  # loads torch, which is to be loaded after the folder exists

    run = Run(folder, own, interrupted=interrupted)
    if test and not interrupted:
        run.evaluate("test")
    return run
