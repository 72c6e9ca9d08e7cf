"""From what the user typed to a recipe, without torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from netwright.config.datasets import BUILT_IN
from netwright.config.library import read_recipe_file, shipped_recipes
from netwright.config.overrides import override
from netwright.config.recipe import PARTS, Recipe, build_recipe
from netwright.config.rows import with_row_defaults
from netwright.config.sections import Data
from netwright.data.discover import TABLE_SUFFIXES, as_path, describe_source
from netwright.data.masks.pair_folders import holds_pairs
from netwright.errors import DataError
from netwright.runs.folder import recipe_text as recipe_text
from netwright.workflows.weights_source import settled_weights, with_network_of_run

DEFAULT = "digits"
MASK_TRAINING = {"batch_size": 8}  # of masks: a batch of 64 would take several GB


def plan_recipe(data: str | None, settings: Sequence[tuple[str, Any]]) -> Recipe:
    """Build the recipe for DATA (a recipe's name or file, a data set's name, a folder, an .npz, a table) and settings.

    Raises RecipeError or DataError when any of it is unknown, absent or makes no sense."""
    base = _base(data or DEFAULT)
    _check_placeholder(data, base, [name for name, _ in settings])
    if _has_sections(base):  # else `build_recipe` says which one is none
        base = _for_masks(base, settings)
        base = with_network_of_run(with_row_defaults(base, settings), settings)
    recipe = build_recipe(override(base, settings))
    return recipe.replace(data=_settled(recipe.data), model=settled_weights(recipe.model))


def _check_placeholder(data: str | None, base: Mapping[str, Any], given: Sequence[str]) -> None:
    """Raise DataError where a shipped recipe is for data of the user's, and they are not said."""
    if data not in shipped_recipes() or "data.source" in given:
        return
    source = base["data"]["source"]
    if source not in BUILT_IN and not as_path(source).exists():
        masks = " --masks MASKS" if "masks" in base["data"] else ""
        raise DataError(
            f"the recipe {data} is for data of yours, and {source}, the name that stands in it, is not here; say where "
            f"they are: netwright train {data} --set data.source={'IMAGES' if masks else 'FILE'}{masks}"
        )


def _has_sections(base: Mapping[str, Any]) -> bool:
    """Say whether what a recipe's file has under its names can be sections and parts at all."""
    return all(
        value is None or isinstance(value, Mapping) or (isinstance(value, str) and name in PARTS)
        for name, value in base.items()
        if name != "augmentation"
    )


def _settled(section: Data) -> Data:
    """Write paths out in full: a run must find its data again from any working folder."""
    changes = {}
    if section.masks is not None and as_path(section.source).is_dir():
        changes["masks"] = str(as_path(section.masks).resolve())
    if section.masks is not None or describe_source(section.source) != "named":
        changes["source"] = str(as_path(section.source).resolve())
    if section.root is not None:
        changes["root"] = str(as_path(section.root).resolve())
    return msgspec.structs.replace(section, **changes)


def _for_masks(base: Mapping[str, Any], settings: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    """Complete a recipe for masks: where they are, if the source holds them, and what is the default for them."""
    given = dict(settings)
    data = dict(base.get("data") or {})
    source = str(given.get("data.source", data.get("source", DEFAULT)))
    masks = given.get("data.masks", given.get("masks", data.get("masks")))
    if masks is None and source not in BUILT_IN and as_path(source).is_dir() and holds_pairs(as_path(source)):
        masks = source
    if masks is None:
        return base
    return with_mask_defaults(base, masks)


def with_mask_defaults(base: Mapping[str, Any], masks: Any) -> Mapping[str, Any]:
    """Complete a recipe's mapping for data whose masks are `masks`; what it says itself stays."""
    training = {**MASK_TRAINING, **(base.get("training") or {})}
    data = {**(base.get("data") or {}), "masks": masks}
    return {"model": {"name": "unet"}, **base, "data": data, "training": training}


def plan_name(data: str | None) -> str:
    """Return what a run on DATA is called: its name, or the last part of its path without the ending."""
    path = Path(data or DEFAULT)
    if path.suffix.lower() in (".yaml", ".yml", ".npz", *TABLE_SUFFIXES):
        return path.stem
    return path.resolve().name if path.exists() else path.name


def _base(data: str) -> Mapping[str, Any]:
    shipped = shipped_recipes()
    if data in shipped:
        return read_recipe_file(shipped[data])
    if Path(data).suffix in (".yaml", ".yml"):
        return read_recipe_file(Path(data))
    return {"data": {"source": data}}
