"""Weights from a local file: safetensors, or a state dict of torch, read without running any code in it."""

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from netwright.errors import WeightsError, listed
from netwright.files.hashing import sha256_bytes

_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "weights", "net", "network")
_PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.")


@dataclass(frozen=True)
class WeightsFile:
    """The tensors of a file by name, its hash, and what was done to read them so."""

    weights: "OrderedDict[str, Tensor]"
    sha256: str
    notices: tuple[str, ...] = ()


def read_weights_file(path: Path) -> WeightsFile:
    """Read a weights file. A state dict may lie inside a dictionary, and its names may begin with `module.`.

    Raises WeightsError for what is damaged, holds anything but tensors, or could run code when it is read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"the weights file {path} can't be read: {error.strerror}") from None
    loaded = _load(path, content)
    found, notices = _unwrapped(path, loaded)
    names = list(found)
    prefix = _common_prefix(names)
    if prefix:
        found = _renamed(found, prefix)
        notices.append(f"{prefix!r} was taken off the names of its {len(names)} tensors")
    return WeightsFile(found, sha256_bytes(content), tuple(notices))


def _load(path: Path, content: bytes) -> Any:
    if path.suffix == ".safetensors" or content[8:9] == b"{":
        try:
            return OrderedDict(load_safetensors(content))
        except Exception as error:  # its Rust side has errors of its own
            raise WeightsError(f"{path} is not whole safetensors ({error}); fetch it again") from None
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "nsupported" in str(error):
            raise WeightsError(
                f"{path} holds Python objects besides tensors (a pickle, which can run any code when it is loaded), "
                "and is not read; where you trust it, save its weights alone: torch.save(model.state_dict(), FILE)"
            ) from None
        raise WeightsError(_unreadable(path)) from None
    except Exception:  # a damaged archive fails in any way
        raise WeightsError(_unreadable(path)) from None


def _unreadable(path: Path) -> str:
    return (
        f"{path} is damaged, or no weights file; expected safetensors, or a state dict as "
        "torch.save(model.state_dict(), FILE) writes it"
    )


def _unwrapped(path: Path, loaded: Any) -> "tuple[OrderedDict[str, Tensor], list[str]]":
    """Return the state dict that was loaded, or that lies in a dictionary around it."""
    notices: list[str] = []
    if isinstance(loaded, Mapping) and not all(isinstance(value, Tensor) for value in loaded.values()):
        inner = next((name for name in _WRAPPERS if _is_state_dict(loaded.get(name))), None)
        if inner is not None:
            others = listed(str(name) for name in loaded if name != inner)
            notices.append(f"its {inner!r} was taken" + (f", not: {others}" if others else ""))
            loaded = loaded[inner]
    if not _is_state_dict(loaded):
        kind = type(loaded).__name__
        held = f" with {listed(loaded, 6)}" if isinstance(loaded, Mapping) else ""
        raise WeightsError(
            f"{path} holds a {kind}{held} and no state dict; expected tensors by name, alone or under one of: "
            f"{listed(_WRAPPERS)}"
        )
    made = OrderedDict(loaded)
    if hasattr(loaded, "_metadata"):  # versions, by which a network reads its own older formats
        made._metadata = loaded._metadata  # type: ignore[attr-defined]
    return made, notices


def _is_state_dict(value: object) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())


def _common_prefix(names: list[str]) -> str:
    prefix = ""
    while True:
        rest = [name.removeprefix(prefix) for name in names]
        longer = next((word for word in _PREFIXES if all(name.startswith(word) for name in rest)), "")
        if not longer:
            return prefix
        prefix += longer


def _renamed(weights: "OrderedDict[str, Tensor]", prefix: str) -> "OrderedDict[str, Tensor]":
    made = OrderedDict((name.removeprefix(prefix), value) for name, value in weights.items())
    versions = getattr(weights, "_metadata", None)
    if versions is not None:
        made._metadata = {  # type: ignore[attr-defined]
            name.removeprefix(prefix[:-1]).removeprefix("."): value for name, value in versions.items()
        }
    return made
