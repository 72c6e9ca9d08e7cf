"""What resuming does about a run's damaged files: puts right what is known twice, names the rest and refuses."""

import os
from typing import Any

from netwright.config.library import read_recipe_file
from netwright.config.recipe import Recipe, build_recipe
from netwright.errors import InputError, RecipeError, listed
from netwright.runs.checkpoints import kept
from netwright.runs.folder import RunFolder, read_json
from netwright.runs.history import read_history
from netwright.workflows.console import Console
from netwright.workflows.runs import flat


def mend(folder: RunFolder, console: Console) -> Recipe:
    """Return the recipe of a run that is to go on, and set aside what is damaged and made again, said aloud.

    Raises InputError for what can't be made again, RecipeError that names the fields of an edited recipe."""
    for path in (folder.environment, folder.state, folder.metrics):
        if path.exists():
            try:
                read_json(path)
            except InputError as error:
                aside = path.with_name(f"{path.name}.damaged")
                os.replace(path, aside)
                console.warn(f"{str(error).partition(';')[0]}; it is kept as {aside.name} and made again")
    for path in (folder.data, folder.split):
        if path.exists():
            read_json(path)
    return _recipe(folder, console)


def epochs_done(folder: RunFolder) -> int:
    """Return how many epochs a run has behind it, by its history; by its checkpoint where that is damaged."""
    try:
        return len(read_history(folder.history))
    except InputError:
        return int(kept(folder.checkpoints).get("epochs", 0))


def _recipe(folder: RunFolder, console: Console) -> Recipe:
    wrong = folder.broken_recipe()
    saved = kept(folder.checkpoints).get("recipe") if wrong else None
    if saved is None:
        return folder.read_recipe()
    known = build_recipe(saved)
    try:
        found = build_recipe(read_recipe_file(folder.recipe))
    except RecipeError as error:
        console.warn(f"{folder.recipe} is damaged ({error}); it is written again from the checkpoint")
        return known
    differing = _differing(known, found)
    if differing:
        raise RecipeError(
            f"{folder.recipe} is damaged or was edited: {listed(differing, 5)}; put that back, or start a new run from "
            f"it: netwright train {folder.recipe}"
        )
    console.warn(f"{folder.recipe} was changed ({wrong}) but says the same; it is written again")
    return known


def _differing(known: Recipe, found: Recipe) -> list[str]:
    sides: list[dict[str, Any]] = [flat(side.to_mapping()) for side in (known, found)]
    names = dict.fromkeys(name for side in sides for name in side)
    pairs = {name: [side.get(name) for side in sides] for name in names}
    return [f"`{name}` is {new!r} and was {old!r}" for name, (old, new) in pairs.items() if old != new]
