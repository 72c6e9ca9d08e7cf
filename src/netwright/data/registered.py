"""Sources of the user's own under a name, so that a recipe file can name them. No NumPy, no torch."""

from collections.abc import Callable
from typing import Any, TypeVar

from netwright.config.datasets import BUILT_IN
from netwright.errors import DataError

S = TypeVar("S", bound=Callable[[], Any])
_SOURCES: dict[str, Callable[[], Any]] = {}


def register_source(name: str) -> Callable[[S], S]:
    """Make `name` a data source: decorates a function that returns what `nw.train` takes as data.

    That is arrays (images, targets), a map-style Dataset, a dict of either by split, or, where `data.target` is set, a
    DataFrame. The name lives as long as the process: whatever loads the run later has to register it again. Raises
    DataError when a data set of ours has the name already."""

    def keep(source: S) -> S:
        if name in BUILT_IN:
            raise DataError(f"the name {name!r} is taken by a data set of ours; register under another name")
        _SOURCES[name] = source
        return source

    return keep


def is_registered(name: str) -> bool:
    """Say whether a user's own source has this name."""
    return name in _SOURCES


def registered_data(name: str) -> Any:
    """Return what the source of this name gives."""
    return _SOURCES[name]()
