"""Checkpoints: enough to resume bit for bit. safetensors and JSON, SHA-256 in a manifest that is written last.

checkpoints/current/   tensors.safetensors  state.json  manifest.json (with the recipe, and sealed)
checkpoints/previous/  the one before, kept until the next one is proven: on the disk, read back and equal
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from netwright.errors import InputError, MachineError, WeightsError
from netwright.files.atomic import explained, sync_folder, write_atomic
from netwright.files.hashing import sha256_bytes, sha256_file
from netwright.files.sealed import write_sealed
from netwright.runs.checkpoints import MANIFEST, NAMES, read_manifest
from netwright.training.snapshot import Snapshot, parameters_of, state_bytes, take_snapshot
from netwright.training.state import Progress, TrainingState
from netwright.training.tensor_file import write_tensors

FORMAT = 1
TENSORS, NUMBERS = "tensors.safetensors", "state.json"


def save_checkpoint(folder: Path, state: TrainingState) -> None:
    """Write `folder/current` and wait for it; training writes by training/saver.py."""
    write_checkpoint(folder, take_snapshot(state, None, {}))


def write_checkpoint(folder: Path, snapshot: Snapshot, between: Callable[[], None] = lambda: None) -> None:
    """Write `folder/current`; at every instant, a power cut's too, either it or `folder/previous` is whole.

    `between` is called from time to time and may raise. What is not through is removed, and the old one stays."""
    new, current, previous = folder / "new", folder / NAMES[0], folder / NAMES[1]
    shutil.rmtree(new, ignore_errors=True)
    try:
        with explained(new, state_bytes(snapshot)):
            new.mkdir()
        if snapshot.copied is not None:
            snapshot.copied.synchronize()
        text = json.dumps({"format": FORMAT, **snapshot.numbers}).encode()
        hashes = {TENSORS: write_tensors(new / TENSORS, snapshot.tensors, between), NUMBERS: sha256_bytes(text)}
        write_atomic(new / NUMBERS, text)
        write_sealed(new / MANIFEST, {"format": FORMAT, "sha256": hashes, **snapshot.about})
        _prove(new, hashes)
        between()
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    sync_folder(folder)
    if current.exists():
        shutil.rmtree(previous, ignore_errors=True)
        os.replace(current, previous)
        sync_folder(folder)
    os.replace(new, current)
    sync_folder(folder)


def _prove(checkpoint: Path, hashes: dict[str, str]) -> None:
    """Read a checkpoint back, from the disk and not from memory where the system can.

    Raises MachineError when it differs from what was written."""
    for name, expected in hashes.items():
        if hasattr(os, "posix_fadvise"):
            with (checkpoint / name).open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if sha256_file(checkpoint / name) != expected:
            raise MachineError(
                f"{checkpoint / name} does not read back as it was written: the disk is failing; the checkpoint before "
                "it is kept: copy the run to another disk and resume there"
            )


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
    return load(contents[TENSORS]), json.loads(contents[NUMBERS])


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


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    parameters = parameters_of(optimizer)
    for key, value in [*tensors.items(), *values.items()]:
        if not key.startswith("optimizer/"):
            continue
        _, place, name = key.split("/", 2)
        parameter = parameters[int(place)] if int(place) < len(parameters) else torch.empty(0)
        if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
            # torch's fused kernels would read past its end, and the process would die by a signal
            raise WeightsError("the checkpoint's optimizer is for other parameters; resume with the recipe of the run")
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            # laid out like the parameter (channels_last too): fused updates need both alike
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        elif isinstance(value, Tensor) and optimizer.defaults.get("fused") and parameter.device.type == "cuda":
            value = value.to(parameter.device)  # the fused kernels keep their step count on the device
        optimizer.state[parameter][name] = value
