"""Train in a run's folder under its lock, and note how the run stands, whatever happens."""

from netwright.config.recipe import Recipe
from netwright.errors import Interrupted, NetwrightError
from netwright.files.lock import folder_lock
from netwright.files.sealed import write_sealed
from netwright.runs.folder import RunFolder, read_json
from netwright.runtime.allocator import keep_large_blocks
from netwright.runtime.memory import oom_kills
from netwright.workflows.console import Console
from netwright.workflows.own import Own


def train_in(
    folder: RunFolder, recipe: Recipe, *, console: Console, own: Own, plots: bool = True, test: bool = False
) -> bool:
    """Train in a run's folder, from its checkpoint where it has one; say whether it was interrupted.

    `test` says that the test split will be asked for: without one it is refused before the first step."""
    console.log = folder.log
    keep_large_blocks()
    # torch is loaded only now: the folder and the recipe exist before it, and a typing mistake has been answered
    from netwright.workflows.sitting import sit

    with folder_lock(folder.path):
        how_it_ended(folder, console)
        folder.checkpoints.mkdir(exist_ok=True)  # a run that was killed as it began may have none
        note_state(folder, "running")
        try:
            sit(folder, recipe, console, own, plots=plots, test=test)
        except Interrupted as stop:
            note_state(folder, "interrupted", str(stop))
            console.warn(f"{stop}; netwright resume {folder.path} goes on from there")
            return True
        except BaseException as error:
            kind = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            note_state(folder, kind, str(error) if isinstance(error, NetwrightError) else repr(error))
            raise
        note_state(folder, "done")
    return False


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
