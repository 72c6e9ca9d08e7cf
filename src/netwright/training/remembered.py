"""What trials found, kept per machine and kind of run, so that the next run of the kind needs none."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netwright.config.sections import Runtime
from netwright.errors import MachineError
from netwright.files.atomic import write_json
from netwright.files.folders import cache_folder
from netwright.runs.environment import processor_name
from netwright.runtime.machine import available_cores
from netwright.training.optimizer import kernels
from netwright.training.plan import Plan
from netwright.training.trial import Choice

FORMAT = 2
MOST_ENTRIES = 200


def trials_file() -> Path:
    """Return where trials are remembered, in the cache folder: it may be deleted at any time."""
    return cache_folder() / "trials.json"


def kind_of_run(plan: Plan, model: nn.Module, asked: Runtime) -> str:
    """Return a hash of all that the quickest way may depend on: machine, torch, network, batch, precision, optimizer.

    What was asked for is in it too: a choice beside four threads says nothing of the choice beside one."""
    parts = [
        *(processor_name(), available_cores(), torch.__version__, str(plan.machine.device), plan.machine.precision),
        *(type(part).__name__ for part in model.modules()),
        *((name, list(p.shape), p.requires_grad) for name, p in model.named_parameters()),
        *(plan.recipe.training.batch_size, plan.train.prepared.input_shape, plan.recipe.optimizer.name),
        *(asked.threads, asked.memory_format, asked.optimizer_kernel, asked.cuda_graphs),
    ]
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode()).hexdigest()


def recall(kind: str, plan: Plan, file: Path | None = None) -> Choice | None:
    """Return what a trial of this kind of run found; None where there was none, or the file is damaged."""
    entry = _read(file or trials_file()).get(kind)
    try:
        choice = Choice(**entry)  # type: ignore[arg-type]
    except TypeError:
        return None
    most = max(available_cores(), plan.machine.threads)
    sound = isinstance(choice.threads, int) and 1 <= choice.threads <= most
    sound = sound and choice.memory_format in ("contiguous", "channels_last")
    sound = sound and (choice.cuda_graphs is False or plan.recipe.runtime.cuda_graphs is True)
    return choice if sound and choice.kernel in kernels(plan.recipe.optimizer, plan.machine.device) else None


def remember(kind: str, choice: Choice, file: Path | None = None) -> None:
    """Keep a choice, the oldest of more than 200 making room; a folder that can't be written is no failure."""
    try:
        file = file or trials_file()
        entries = {name: entry for name, entry in _read(file).items() if name != kind}
        write_json(file, dict([*entries.items(), (kind, asdict(choice))][-MOST_ENTRIES:]))
    except (MachineError, OSError):
        pass


def _read(file: Path) -> dict[str, Any]:
    try:
        entries = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
