"""From labelled images to a trusted, saved classifier. The public table; each name is loaded when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives. Importing netwright imports none of these rooms, so it does not import torch either.
_TABLE = {
    "train": "netwright.workflows.api.train",
    "train_series": "netwright.workflows.api.train_series",
    "load": "netwright.workflows.run.load",
    "resume": "netwright.workflows.api.resume",
    "evaluate": "netwright.workflows.evaluate.evaluate",
    "predict": "netwright.workflows.predict.predict_files",
    "export": "netwright.workflows.export.export",
    "eject": "netwright.workflows.eject.eject",
    "compare": "netwright.workflows.compare.compare_runs",
    "explore": "netwright.workflows.explore.explore",
    "find_lr": "netwright.workflows.lr_find.find_lr",
    "Run": "netwright.workflows.run.Run",
    "ImageClassifier": "netwright.workflows.estimator.ImageClassifier",
    "Recipe": "netwright.config.recipe.Recipe",
    "build_recipe": "netwright.config.recipe.build_recipe",
    "NetwrightError": "netwright.errors.NetwrightError",
    "InputError": "netwright.errors.InputError",
    "RecipeError": "netwright.errors.RecipeError",
    "DataError": "netwright.errors.DataError",
    "WeightsError": "netwright.errors.WeightsError",
    "MachineError": "netwright.errors.MachineError",
    "Interrupted": "netwright.errors.Interrupted",
    "WorkFailed": "netwright.errors.WorkFailed",
}

__all__ = ["__version__", *_TABLE]

if TYPE_CHECKING:  # what type checkers and editors read; a test holds it and the table together
    from netwright.errors import DataError as DataError
    from netwright.errors import InputError as InputError
    from netwright.errors import Interrupted as Interrupted
    from netwright.errors import MachineError as MachineError
    from netwright.errors import NetwrightError as NetwrightError
    from netwright.errors import RecipeError as RecipeError
    from netwright.errors import WeightsError as WeightsError
    from netwright.errors import WorkFailed as WorkFailed
    from netwright.workflows.api import resume as resume
    from netwright.workflows.api import train as train
    from netwright.workflows.api import train_series as train_series
    from netwright.workflows.compare import compare_runs as compare  # noqa: F401
    from netwright.workflows.eject import eject as eject
    from netwright.workflows.estimator import ImageClassifier as ImageClassifier
    from netwright.workflows.evaluate import evaluate as evaluate
    from netwright.workflows.explore import explore as explore
    from netwright.workflows.export import export as export
    from netwright.workflows.lr_find import find_lr as find_lr
    from netwright.workflows.predict import predict_files as predict  # noqa: F401
    from netwright.workflows.run import Run as Run
    from netwright.workflows.run import load as load


def __getattr__(name: str) -> Any:
    """Load a public name on first use. Raises AttributeError for a name that is not in the table."""
    if name not in _TABLE:
        from netwright.errors import did_you_mean

        raise AttributeError(f"module 'netwright' has no attribute {name!r}{did_you_mean(name, _TABLE)}")
    module, _, attribute = _TABLE[name].rpartition(".")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
