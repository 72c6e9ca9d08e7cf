"""Are two runs the same, bit for bit? What training decides is compared, what the clock decides is not. No torch."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from netwright.runs.folder import RunFolder

# what may differ between equal runs: when and how it went, and the checkpoint before the last, which the clock chose
_OF_THE_CLOCK = ("environment.json", "state.json", "log.txt", "report.html", "ledger.jsonl")
_OF_THE_CLOCK_FOLDERS = ("events", "plots", "checkpoints/previous")
_CLOCK_KEYS = ("seconds", "seal", "sha256")  # ends of names of JSON members: times, and hashes of what holds times


def compare_runs(one: Path, other: Path) -> list[str]:
    """Return one sentence a difference between two runs' folders; none when they are equal bit for bit.

    Compared are recipe, data, split, history, metrics, bundle, stored outputs and the last checkpoint with the
    optimizer's state: every byte, but seconds. Tensors that differ are named with their largest difference."""
    names = sorted({*_compared(one), *_compared(other)})
    found: list[str] = []
    for name in names:
        paths = [side / name for side in (one, other)]
        missing = [str(path) for path in paths if not path.is_file()]
        found += [f"{path} is not there" for path in missing] or _differences(name, paths[0], paths[1])
    return found


def _compared(run: Path) -> list[str]:
    """Return the names of the files that equal runs have equal."""
    names = [path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()]
    hidden = [name for name in names if any(part.startswith(".") for part in name.split("/"))]
    away = {*hidden, *_OF_THE_CLOCK, "checkpoints/current/manifest.json"}
    return [
        name
        for name in names
        if name not in away and not name.startswith(tuple(f"{f}/" for f in _OF_THE_CLOCK_FOLDERS))
    ]


def _differences(name: str, one: Path, other: Path) -> Iterable[str]:
    contents = one.read_bytes(), other.read_bytes()
    if contents[0] == contents[1]:
        return []
    if name.endswith(".safetensors"):
        return [f"{name}: {text}" for text in _tensor_differences(*contents)]
    if name.endswith((".json", ".jsonl")):
        one_value, other_value = ([timeless(json.loads(text)) for text in _documents(name, each)] for each in contents)
        place = _first_difference(one_value, other_value)
        if not place and name.startswith("bundle/"):
            place = "a place that is no value: equal bundles have equal bytes"
        return [f"{name} differs at {place}"] if place else []
    return [f"{name} differs"]


def _documents(name: str, content: bytes) -> list[bytes]:
    return content.splitlines() if name.endswith("l") else [content]


def timeless(value: Any) -> Any:
    """Return a JSON value without the members that hold times, or hashes of times."""
    if isinstance(value, Mapping):
        return {key: timeless(inner) for key, inner in value.items() if not key.endswith(_CLOCK_KEYS)}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def _first_difference(one: Any, other: Any, place: str = "") -> str:
    """Return where two JSON values differ first, such as `[2].val_loss: 0.1 and 0.2`; nothing when they are equal."""
    if type(one) is type(other) is dict and one.keys() == other.keys():
        pairs = [(f"{place}.{key}", one[key], other[key]) for key in one]
    elif type(one) is type(other) is list and len(one) == len(other):
        pairs = [(f"{place}[{number}]", *pair) for number, pair in enumerate(zip(one, other, strict=True))]
    else:
        return (
            "" if type(one) is type(other) and one == other else f"{place or 'its top'}: {_cut(one)} and {_cut(other)}"
        )
    return next((found for inner, a, b in pairs if (found := _first_difference(a, b, inner))), "")


def _cut(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _tensor_differences(one: bytes, other: bytes) -> list[str]:
    sides = load(one), load(other)
    names = sorted(set(sides[0]) ^ set(sides[1]))
    found = [f"the tensor {name} is in one of them only" for name in names]
    for name in sorted(set(sides[0]) & set(sides[1])):
        a, b = sides[0][name], sides[1][name]
        if a.dtype != b.dtype or a.shape != b.shape:
            found.append(f"{name} is {a.dtype} {a.shape} and {b.dtype} {b.shape}")
        elif a.tobytes() != b.tobytes():
            found.append(f"{name} differs by up to {_largest_difference(a, b):.3g}")
    return found or ["the tensors are equal and the rest of the file is not"]


def _largest_difference(one: Any, other: Any) -> float:
    return float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64)), initial=0.0))


def largest_weight_difference(one: Path, other: Path) -> float:
    """Return the largest absolute difference between two finished runs' weights."""
    sides = [load(RunFolder(path).weights.read_bytes()) for path in (one, other)]
    return max((_largest_difference(sides[0][name], sides[1][name]) for name in sides[0]), default=0.0)
