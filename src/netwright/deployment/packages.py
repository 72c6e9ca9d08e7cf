"""Packages that only some users have, and how much of their talk is shown."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib import import_module

from netwright.errors import MachineError

_NAMES = {"onnx": "ONNX", "openvino": "OpenVINO"}


def need(*packages: str, extra: str = "onnx") -> None:
    """Import packages of an extra. Raises MachineError that says how to install what is missing."""
    for package in packages:
        try:
            with quietly():
                import_module(package)
        except ImportError as error:
            raise MachineError(
                f"{_NAMES[extra]} needs the package {error.name or package}, which is not installed: "
                f"pip install 'netwright[{extra}]'"
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
