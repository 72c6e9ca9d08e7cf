"""The bundle: one folder, or one zip file of it, that is enough to predict. No pickle; same training, same bytes.

model.safetensors    the best epoch's weights
bundle.json          network, class names, evaluation transform, temperature, metrics, versions, data, checksums
golden.safetensors   a few images with the logits that the network gave for them
card.md              the same for people
"""

import os
import shutil
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from netwright.config.models import MODELS, Model
from netwright.data.transform import EvalTransform
from netwright.deployment.archive import CARD, DESCRIPTION, GOLDEN, WEIGHTS, read_member
from netwright.deployment.card import card_of
from netwright.deployment.golden import Golden, read_golden
from netwright.errors import InputError, WeightsError
from netwright.files.atomic import sync_folder, write_atomic
from netwright.files.hashing import sha256_bytes
from netwright.files.sealed import open_sealed, sealed_json
from netwright.tasks.registry import TASKS
from netwright.tasks.task import Task

FORMAT = 1
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, msgspec.ValidationError, SafetensorError)


def present_versions() -> dict[str, str]:
    """Return the versions of what decides the network's answers."""
    return {name: version(name) for name in ("netwright", "torch", "torchvision", "pillow")}


@dataclass(frozen=True)
class Bundle:
    """What a bundle says besides its weights."""

    model: Model
    in_channels: int
    image_size: tuple[int, int]
    task: Task
    transform: EvalTransform
    epoch: int
    metrics: dict[str, Any]
    data: dict[str, Any]
    temperature: float | None = None
    golden: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=present_versions)

    def to_mapping(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "task": self.task.name,
            "model": msgspec.to_builtins(self.model),
            "in_channels": self.in_channels,
            "image_size": list(self.image_size),
            **self.task.to_mapping(),
            "transform": msgspec.to_builtins(self.transform),
            "temperature": self.temperature,
            "epoch": self.epoch,
            "metrics": self.metrics,
            "data": self.data,
            "golden": self.golden,
            "versions": self.versions,
        }


def bundle_members(bundle: Bundle, weights: dict[str, Tensor], golden: Golden | None) -> dict[str, bytes]:
    """Return the bundle's files, name -> content."""
    content = save({name: value.detach().cpu().contiguous().clone() for name, value in weights.items()})
    members = {WEIGHTS: content}
    note = None
    if golden is not None:
        members[GOLDEN] = golden.to_bytes()
        note = {"kind": golden.kind, "num": len(golden.images), "sha256": sha256_bytes(members[GOLDEN])}
    bundle = replace(bundle, golden=note)
    described = bundle.to_mapping() | {"weights_sha256": sha256_bytes(content)}
    return members | {CARD: card_of(described).encode("utf-8", "backslashreplace"), DESCRIPTION: sealed_json(described)}


def save_bundle(folder: Path, bundle: Bundle, weights: dict[str, Tensor], golden: Golden | None = None) -> bool:
    """Write the bundle beside and put it in the place of an old one; say whether that had the same weights."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    new.mkdir(parents=True)
    members = bundle_members(bundle, weights, golden)
    for name, content in members.items():
        write_atomic(new / name, content)
    same = (folder / WEIGHTS).exists() and (folder / WEIGHTS).read_bytes() == members[WEIGHTS]
    if folder.exists():
        os.replace(folder, old)
    os.replace(new, folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
    return same


def load_bundle(path: Path) -> tuple[Bundle, dict[str, Tensor]]:
    """Read a bundle, a folder or a zip file, and its weights; what predicts, exports or serves comes through here.

    Raises WeightsError when it is damaged, foreign or of a newer format."""
    bundle, mapping = _described(path)
    try:
        content = read_member(path, WEIGHTS)
        if sha256_bytes(content) != mapping["weights_sha256"]:
            raise WeightsError(f"{path / WEIGHTS} does not match its checksum: it is damaged; restore it from a copy")
        return bundle, load(content)
    except _DAMAGED as error:
        raise _not_whole(path, error) from None


def whole_members(path: Path) -> dict[str, bytes]:
    """Return the files of a bundle, name -> content. Raises WeightsError when one does not match its checksum."""
    load_bundle(path)
    names = [WEIGHTS, DESCRIPTION, CARD]
    if load_golden(path) is not None:
        names.append(GOLDEN)
    try:
        return {name: read_member(path, name) for name in names}
    except _DAMAGED as error:
        raise _not_whole(path, error) from None


def load_golden(path: Path) -> Golden | None:
    """Read a bundle's golden samples; None when it has none. Raises WeightsError when they are damaged."""
    bundle, _ = _described(path)
    if bundle.golden is None:
        return None
    try:
        content = read_member(path, GOLDEN)
        if sha256_bytes(content) != bundle.golden["sha256"]:
            raise WeightsError(f"{path / GOLDEN} does not match its checksum: it is damaged; restore it from a copy")
        return read_golden(content, bundle.golden["kind"])
    except _DAMAGED as error:
        raise _not_whole(path, error) from None


def _described(path: Path) -> tuple[Bundle, dict[str, Any]]:
    try:
        described = read_member(path, DESCRIPTION)
        mapping = open_sealed(described, path / DESCRIPTION, "restore it from a copy, or train again")
        if mapping["format"] != FORMAT:
            raise _other_format(path, mapping["format"], mapping.get("versions", {}).get("netwright"))
        return _from_mapping(mapping), mapping
    except InputError as error:  # that it is damaged, or of another format
        raise WeightsError(str(error)) from None
    except _DAMAGED as error:
        raise _not_whole(path, error) from None


def _other_format(path: Path, given: object, writer: object) -> WeightsError:
    by = f" (netwright {writer})" if isinstance(writer, str) else ""
    fix = "use the version that wrote it"
    if isinstance(given, int) and given > FORMAT:
        fix = "it was written by a newer version: pip install --upgrade netwright"
    return WeightsError(f"{path / DESCRIPTION} has format {given!r}{by}, and this version reads {FORMAT}; {fix}")


def _not_whole(path: Path, error: Exception) -> WeightsError:
    why = f"it has no {error.args[0]!r}" if isinstance(error, KeyError) and error.args else str(error)
    return WeightsError(f"{path} is not a whole bundle ({why}); restore it from a copy, or train again")


def _from_mapping(mapping: dict[str, Any]) -> Bundle:
    model = MODELS.convert(mapping["model"], "model")
    assert isinstance(model, Model)
    height, width = mapping["image_size"]
    return Bundle(
        model=model,
        in_channels=mapping["in_channels"],
        image_size=(height, width),
        task=TASKS[mapping["task"]].read(mapping),
        transform=msgspec.convert(mapping["transform"], EvalTransform),
        epoch=mapping["epoch"],
        metrics=mapping["metrics"],
        data=mapping["data"],
        temperature=mapping["temperature"],
        golden=mapping.get("golden"),
        versions=dict(mapping["versions"]),
    )
