"""From labelled images to a trusted, saved classifier. The public table; each name is loaded when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives. Importing netwright imports none of these rooms, so it does not import torch either.
_TABLE = {
    "train": "netwright.workflows.api",
    "resume": "netwright.workflows.api",
    "load": "netwright.workflows.run",
    "evaluate": "netwright.workflows.evaluate",
    "predict": "netwright.workflows.predict",
    "explore": "netwright.workflows.explore",
    "Run": "netwright.workflows.run",
    "ImageClassifier": "netwright.workflows.estimator",
    "Recipe": "netwright.config.recipe",
    "build_recipe": "netwright.config.recipe",
    "NetwrightError": "netwright.errors",
    "InputError": "netwright.errors",
    "RecipeError": "netwright.errors",
    "DataError": "netwright.errors",
    "WeightsError": "netwright.errors",
    "MachineError": "netwright.errors",
    "Interrupted": "netwright.errors",
    "WorkFailed": "netwright.errors",
}

__all__ = ["__version__", *_TABLE]

if TYPE_CHECKING:
    pass


def __getattr__(name: str) -> Any:
    """Load a public name on first use. Raises AttributeError for a name that is not in the table."""
    if name not in _TABLE:
        from netwright.errors import did_you_mean

        raise AttributeError(f"module 'netwright' has no attribute {name!r}{did_you_mean(name, _TABLE)}")
    value = getattr(import_module(_TABLE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
