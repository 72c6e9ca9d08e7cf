"""The errors that netwright raises for its users.

Each message names the thing given, what was expected and the next step. The class decides the exit code of the
command line (see docs/command-line.md); anything that is not a `NetwrightError` is a bug of ours.
"""

import difflib
from collections.abc import Iterable


class NetwrightError(Exception):
    """Base of all errors that a user can cause or meet; never raised itself."""

    exit_code = 1


class InputError(NetwrightError):
    """Bad input: data, recipe, option, foreign or damaged weights."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe, an option or an argument that does not make sense."""


class DataError(InputError):
    """Labelled data that cannot be used as they are."""


class WeightsError(InputError):
    """A checkpoint, bundle or weights file that is damaged, foreign or does not fit."""


class MachineError(NetwrightError):
    """The environment is at fault: memory, disk, permission, device, folder in use, network."""

    exit_code = 4


class Interrupted(NetwrightError):
    """The work was stopped from outside and can be resumed."""

    exit_code = 5


class WorkFailed(NetwrightError):
    """The work itself failed: a loss that is not finite, an export that is not equal."""

    exit_code = 6


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ` (did you mean "cnn"?)` for the known name nearest to `given`, or nothing when none is near."""
    near = difflib.get_close_matches(given.lower(), list(known), n=1, cutoff=0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""


def listed(names: Iterable[object], most: int = 10) -> str:
    """Join names for a message, cut after `most` of them with the number left out."""
    every = [str(name) for name in names]
    rest = len(every) - most
    return ", ".join(every[:most]) + (f" and {rest} more" if rest > 0 else "")
