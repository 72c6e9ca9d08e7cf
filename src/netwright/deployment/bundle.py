"""The bundle: one folder that is enough to predict. safetensors and JSON, no pickle; same training, same bytes.

model.safetensors   the best epoch's weights
bundle.json         network, class names, evaluation transform, temperature, metrics, versions, data
card.md             the same for people
"""

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from netwright.config.models import MODELS, Model
from netwright.data.transform import EvalTransform
from netwright.errors import InputError, WeightsError
from netwright.files.atomic import sync_folder, write_atomic
from netwright.files.hashing import sha256_bytes
from netwright.files.sealed import read_sealed, write_sealed
from netwright.tasks.classification import Classification

FORMAT = 1
WEIGHTS, DESCRIPTION, CARD = "model.safetensors", "bundle.json", "card.md"


@dataclass(frozen=True)
class Bundle:
    """What a bundle says besides its weights."""

    model: Model
    in_channels: int
    image_size: tuple[int, int]
    task: Classification
    transform: EvalTransform
    epoch: int
    metrics: dict[str, Any]
    data: dict[str, Any]
    temperature: float | None = None

    def to_mapping(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "task": "classification",
            "model": msgspec.to_builtins(self.model),
            "in_channels": self.in_channels,
            "image_size": list(self.image_size),
            "output": self.task.output,
            "num_outputs": self.task.num_outputs,
            "class_names": list(self.task.class_names),
            "transform": msgspec.to_builtins(self.transform),
            "temperature": self.temperature,
            "epoch": self.epoch,
            "metrics": self.metrics,
            "data": self.data,
            "versions": {name: version(name) for name in ("torch", "torchvision", "pillow")},
        }


def save_bundle(folder: Path, bundle: Bundle, weights: dict[str, Tensor]) -> bool:
    """Write the bundle beside and put it in the place of an old one; say whether that had the same weights."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    new.mkdir(parents=True)
    content = save({name: value.detach().cpu().contiguous().clone() for name, value in weights.items()})
    write_atomic(new / WEIGHTS, content)
    write_atomic(new / CARD, _card(bundle).encode())
    write_sealed(new / DESCRIPTION, bundle.to_mapping() | {"weights_sha256": sha256_bytes(content)})
    same = (folder / WEIGHTS).exists() and (folder / WEIGHTS).read_bytes() == content
    if folder.exists():
        os.replace(folder, old)
    os.replace(new, folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
    return same


def load_bundle(folder: Path) -> tuple[Bundle, dict[str, Tensor]]:
    """Read a bundle and its weights. Raises WeightsError when it is damaged, foreign or of a newer format."""
    path = folder / DESCRIPTION
    try:
        mapping = read_sealed(path, "restore it from a copy, or train again")
        content = (folder / WEIGHTS).read_bytes()
        if mapping["format"] != FORMAT:
            raise WeightsError(
                f"{path} has format {mapping['format']}, and this version reads {FORMAT}; use the one that wrote it"
            )
        if sha256_bytes(content) != mapping["weights_sha256"]:
            raise WeightsError(f"{folder / WEIGHTS} does not match its checksum: it is damaged; restore it from a copy")
        return _from_mapping(mapping), load(content)
    except InputError as error:  # that it is damaged, or of another format
        raise WeightsError(str(error)) from None
    except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError, SafetensorError) as error:
        raise WeightsError(
            f"{folder} is not a whole bundle ({error}); restore it from a copy, or train again"
        ) from None


def _from_mapping(mapping: dict[str, Any]) -> Bundle:
    model = MODELS.convert(mapping["model"], "model")
    assert isinstance(model, Model)
    height, width = mapping["image_size"]
    return Bundle(
        model=model,
        in_channels=mapping["in_channels"],
        image_size=(height, width),
        task=Classification(tuple(mapping["class_names"]), mapping["output"], mapping["num_outputs"]),
        transform=msgspec.convert(mapping["transform"], EvalTransform),
        epoch=mapping["epoch"],
        metrics=mapping["metrics"],
        data=mapping["data"],
        temperature=mapping["temperature"],
    )


def _card(bundle: Bundle) -> str:
    """Return the model card: what it is, what it was trained on, how good it is."""
    height, width = bundle.image_size
    lines = [
        f"# {bundle.model.name} for {bundle.data.get('name', 'images')}",
        "",
        f"- answers with one of {len(bundle.task.class_names)} classes: {', '.join(bundle.task.class_names[:50])}",
        f"- takes {height} × {width} images with {bundle.in_channels} channel{'s' * (bundle.in_channels > 1)}; "
        "bundle.json holds the whole preprocessing",
        f"- trained on {bundle.data.get('num_train', '?')} images; weights of epoch {bundle.epoch}",
    ]
    for split, metrics in bundle.metrics.items():
        low, high = metrics["accuracy_interval"]
        views = f", mean of {metrics['views']} views" if metrics.get("views", 1) > 1 else ""
        lines.append(
            f"- {split}: accuracy {metrics['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}, "
            f"n = {metrics['num_samples']}{views})"
        )
    calibrated = f"Probabilities are calibrated: the outputs are divided by the temperature {bundle.temperature}."
    own = "Probabilities are the network's own, not calibrated."
    lines += ["", own if bundle.temperature is None else calibrated, ""]
    return "\n".join(lines)
