"""Recipe files: those that ship with the package, found by name, and the user's own, found by path."""

from pathlib import Path
from typing import Any

import yaml

from netwright.errors import RecipeError

_SHIPPED = Path(__file__).parent.parent / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes of the package, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.yaml"))}


def read_recipe_file(path: Path) -> dict[str, Any]:
    """Read one recipe file into a mapping. Raises RecipeError when it is not YAML or not a mapping."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RecipeError(f"the recipe {path} can't be read: {reason}; give a YAML file, see docs/recipe.md") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise RecipeError(f"the recipe {path}{place} can't be read: {problem}; mend that line") from None
    except (RecursionError, ValueError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else "a number has too many digits"
        raise RecipeError(f"the recipe {path} can't be read: {reason}; give a YAML file, see docs/recipe.md") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise RecipeError(f"the recipe {path} holds a {type(loaded).__name__}; expected sections such as `training:`")
    return loaded
