"""Checkpoints: enough to resume bit for bit. safetensors and JSON, SHA-256 in a manifest that is written last.

checkpoints/current/   tensors.safetensors  state.json  manifest.json (with the recipe, and sealed)
checkpoints/previous/  the one before, kept until the next is whole
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from netwright.config.recipe import Recipe
from netwright.errors import InputError, WeightsError
from netwright.files.atomic import sync_folder, write_atomic
from netwright.files.hashing import sha256_bytes
from netwright.files.sealed import write_sealed
from netwright.runs.checkpoints import MANIFEST, NAMES, read_manifest
from netwright.training.state import Progress, TrainingState

FORMAT = 1


def save_checkpoint(folder: Path, state: TrainingState, recipe: Recipe | None = None) -> None:
    """Write `folder/current`; at every instant either it or `folder/previous` is whole."""
    new, current, previous = folder / "new", folder / "current", folder / "previous"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    numbers: dict[str, Any] = {
        "format": FORMAT,
        "progress": state.progress.to_mapping(),
        "sums": state.sums.to_mapping(),
        "history": state.history,
    }
    tensors = {f"model/{name}": value for name, value in state.model.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()}
    tensors |= {f"average/{name}": value for name, value in state.average.items()}
    optimizer_tensors, numbers["optimizer"] = _optimizer_state(state.optimizer)
    tensors |= optimizer_tensors
    # own copies: safetensors refuses tensors that share memory, as tied weights do
    content = save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()})
    text = json.dumps(numbers).encode()
    write_atomic(new / "tensors.safetensors", content)
    write_atomic(new / "state.json", text)
    hashes = {"tensors.safetensors": sha256_bytes(content), "state.json": sha256_bytes(text)}
    about = {"epochs": len(state.history), "recipe": None if recipe is None else recipe.to_mapping()}
    write_sealed(new / MANIFEST, {"format": FORMAT, "sha256": hashes, **about})
    if current.exists():
        shutil.rmtree(previous, ignore_errors=True)
        os.replace(current, previous)
    os.replace(new, current)
    sync_folder(folder)


def load_checkpoint(folder: Path, state: TrainingState) -> list[str]:
    """Restore `state` from the newest checkpoint that is whole; return notices about any that is not.

    Raises WeightsError when none is whole, or when it does not fit the network."""
    notices = []
    for name in NAMES:
        try:
            tensors, numbers = _read(folder / name)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            notices.append(f"the checkpoint {folder / name} is damaged or missing ({error})")
            continue
        _restore(state, tensors, numbers)
        return [f"{notice}; using the one before it" for notice in notices]
    raise WeightsError(f"no checkpoint in {folder} is whole: {'; '.join(notices)}; train again")


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        manifest = read_manifest(folder)
    except InputError as error:  # damaged, unlike one that is whole and of another format
        raise ValueError(str(error)) from None
    if manifest["format"] != FORMAT:
        raise WeightsError(
            f"the checkpoint {folder} has format {manifest['format']}, and this version reads {FORMAT}; resume with "
            "the version that wrote it"
        )
    contents = {}
    for name, expected in manifest["sha256"].items():
        contents[name] = (folder / name).read_bytes()
        if sha256_bytes(contents[name]) != expected:
            raise ValueError(f"{name} does not match its checksum")
    return load(contents["tensors.safetensors"]), json.loads(contents["state.json"])


def _restore(state: TrainingState, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    own = state.model.state_dict()
    saved = {name.removeprefix("model/"): value for name, value in tensors.items() if name.startswith("model/")}
    differing = sorted(set(own) ^ set(saved)) or [name for name in own if own[name].shape != saved[name].shape]
    if differing:
        raise WeightsError(f"the checkpoint is of another network: {differing[0]} differs; resume with the same model")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(saved[name])
    state.best, state.average = (_like(own, tensors, kind) for kind in ("best/", "average/"))
    _restore_optimizer(state.optimizer, tensors, numbers["optimizer"])
    state.progress = Progress(**numbers["progress"])
    state.history = numbers["history"]
    state.sums.restore(numbers["sums"])


def _like(own: dict[str, Tensor], tensors: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Return one kind of weights, on the network's device and laid out in memory as its own are."""
    found = {name.removeprefix(kind): value for name, value in tensors.items() if name.startswith(kind)}
    return {name: torch.empty_like(own[name]).copy_(value) for name, value in found.items()}


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split the optimizer's state into tensors and plain values, by the parameter's place and the state's name."""
    tensors, values = {}, {}
    for place, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{place}/{name}"] = value
            else:
                values[f"optimizer/{place}/{name}"] = value
    return tensors, values


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    parameters = _parameters(optimizer)
    for key, value in [*tensors.items(), *values.items()]:
        if not key.startswith("optimizer/"):
            continue
        _, place, name = key.split("/", 2)
        parameter = parameters[int(place)]
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            # laid out like the parameter (channels_last too): fused updates need both alike
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        elif isinstance(value, Tensor) and optimizer.defaults.get("fused") and parameter.device.type == "cuda":
            value = value.to(parameter.device)  # the fused kernels keep their step count on the device
        optimizer.state[parameter][name] = value
