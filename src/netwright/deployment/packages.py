"""Packages that only some users have, and how much of their talk is shown."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib import import_module

from netwright.errors import MachineError


def need(*packages: str) -> None:
    """Import the packages that ONNX takes. Raises MachineError that says how to install what is missing."""
    for package in packages:
        try:
            with quietly():
                import_module(package)
        except ImportError as error:
            raise MachineError(
                f"ONNX needs the package {error.name or package}, which is not installed: pip install 'netwright[onnx]'"
            ) from None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep what the exporters print and log from the user: progress, notices about their own versions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
