"""`netwright train`: labelled images -> a run with a bundle. The whole road, in the order it is walked."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.config.recipe import Recipe
from netwright.errors import InputError, Interrupted, MachineError, NetwrightError
from netwright.files.lock import folder_lock
from netwright.files.sealed import write_sealed
from netwright.runs.environment import describe_environment
from netwright.runs.folder import RunFolder, create_run, read_json
from netwright.runs.history import read_history
from netwright.runtime.allocator import keep_large_blocks
from netwright.runtime.memory import oom_kills
from netwright.workflows.console import Console
from netwright.workflows.own import Own
from netwright.workflows.plan import plan_name

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
    console.log = folder.log
    keep_large_blocks()
    # torch is loaded only now: the folder and the recipe exist before it, and a typing mistake has been answered
    from netwright.workflows.run import Run
    from netwright.workflows.sitting import sit

    with folder_lock(folder.path):
        how_it_ended(folder, console)
        note_state(folder, "running")
        try:
            sit(folder, recipe, console, own, plots=plots, test=test)
        except Interrupted as stop:
            note_state(folder, "interrupted", str(stop))
            console.warn(f"{stop}; netwright resume {folder.path} goes on from there")
            return Run(folder, own, interrupted=True)
        except BaseException as error:
            kind = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            note_state(folder, kind, str(error) if isinstance(error, NetwrightError) else repr(error))
            raise
        note_state(folder, "done")
    run = Run(folder, own)
    if test:
        run.evaluate("test")
    return run


def how_it_ended(folder: RunFolder, console: Console) -> None:
    """Say on resume when the last sitting was killed, as it seems for lack of memory."""
    known = read_json(folder.state) if folder.state.exists() else {}
    before, now = known.get("oom_kills"), oom_kills()
    if known.get("state") == "running" and before is not None and now is not None and now > before:
        console.warn(
            "the run was killed, and the system has ended a process for lack of memory since it began, likely this; "
            "close other programs, or start a new run with a smaller --batch-size"
        )


def note_state(folder: RunFolder, state: str, reason: str = "") -> None:
    """Write how the run stands, for `netwright runs`; `oom_kills` tells a later sitting why this one was killed."""
    write_sealed(folder.state, {"state": state, "reason": reason, "oom_kills": oom_kills()})
