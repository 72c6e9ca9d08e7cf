"""The script of a U-Net: images and masks in folders, augmented alike, trained and predicted in plain PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from netwright.config.models import Unet
from netwright.config.recipe import Recipe
from netwright.data.transform import EvalTransform
from netwright.deployment.bundle import Bundle
from netwright.deployment.eject.code import Call, text
from netwright.deployment.eject.learning import learning_code, weights_code, weights_of
from netwright.deployment.eject.mask_criterion import criterion_code
from netwright.deployment.eject.mask_data import (
    MaskFolders,
    folder_constants,
    mask_folders,
    reading_code,
    splits_code,
    transforms_code,
)
from netwright.deployment.eject.mask_network import EncoderCode, encoder_code
from netwright.deployment.eject.template import MOST_LINES, Ejected, rendered, said_left_out
from netwright.errors import InputError
from netwright.models.unet import DEPTH

_FIRST_LEFT_OUT = ("gaussian_blur", "grayscale", "color_jitter", "accumulation_steps")
_MONITORS = {"loss": "loss", "accuracy": "accuracy", "mean_dice": "dice"}


def write_mask_script(
    recipe: Recipe,
    bundle: Bundle,
    network: nn.Module,
    sizes: Mapping[str, int],
    class_counts: Sequence[int],
    *,
    bundle_path: Path,
    file: str,
) -> Ejected:
    """Write a run of a U-Net as one script; `sizes` says how many images each split has, `class_counts` how many pixels
    of train each class.

    What would make it too long is left out in turn: changes of values, then steps of several batches.
    Raises InputError for what the script has no short words for."""
    model = bundle.model
    if not isinstance(model, Unet):
        raise InputError(f"of networks that give masks eject writes U-Nets, and this is {model.name}; keep the bundle")
    encoder = None if model.encoder is None else encoder_code(model, network, bundle.in_channels)
    for num in range(len(_FIRST_LEFT_OUT) + 1):
        made = _written(recipe, bundle, encoder, sizes, class_counts, bundle_path, file, _FIRST_LEFT_OUT[:num])
        if made.text.count("\n") < MOST_LINES:
            break
    return made


def _written(
    recipe: Recipe,
    bundle: Bundle,
    encoder: EncoderCode | None,
    sizes: Mapping[str, int],
    class_counts: Sequence[int],
    bundle_path: Path,
    file: str,
    without: tuple[str, ...],
) -> Ejected:
    model, folders = bundle.model, mask_folders(recipe)
    assert isinstance(model, Unet)
    frozen = recipe.training.freeze == "backbone" and recipe.training.unfreeze is None
    begun = model.weights != "none" and not (encoder is not None and encoder.pretrained)
    weights = weights_of(recipe.criterion, class_counts)
    transforms, unchanged = transforms_code(recipe.augmentation, bundle.transform, without)
    accumulation = 1 if "accumulation_steps" in without else recipe.training.accumulation_steps
    whole = ["steps of several batches (training.accumulation_steps)"] * (
        accumulation < recipe.training.accumulation_steps
    )
    criterion = criterion_code(recipe, bundle.task.num_outputs, weights is not None)
    judged = _judged(recipe, "val" in sizes)
    # the criterion is a function of its own; optimizers leave alone what has no gradient
    learning = learning_code(recipe, [], all_trainable=True, criterion=[])
    whole += _rounded(bundle.transform)
    random = [f"the first weights are random (the run began with {model.weights!r})"] if begun and not frozen else []
    left_out = [*unchanged, *whole, *random, *learning.left_out, "tiles: whole pictures go through the network at once"]
    values: dict[str, Any] = {
        "title": f"{model.name} on {bundle.data.get('name', 'images')}",
        "file": file,
        "left_out": said_left_out(left_out),
        "constants": "\n".join(_constants(recipe, bundle, folders, encoder, bundle_path, weights)),
        "transforms": "\n".join([*transforms.lines, *criterion[:1]] if len(criterion) == 1 else transforms.lines),
        **reading_code(recipe, bundle, transforms),
        "splits": "\n".join(splits_code(folders, sizes)),
        "num_outputs": bundle.task.num_outputs,
        "encoder": encoder,
        "batch_norm": model.batch_norm,
        "dropout": model.dropout,
        "transposed": model.up == "transposed",
        "up": _up(model, encoder),
        "head_width": "WIDTHS[0]" if encoder is None else model.width,
        "criterion": "\n".join([*criterion, "", ""]) if len(criterion) > 1 else "",
        "learning": "\n".join(learning.build),
        "every": learning.every,
        "epoch_call": "\n".join(_epoch_call(learning.every, judged["monitor"], "val" in sizes)),
        "loader": "\n".join(_loader(transforms.of_training)),
        "frozen": frozen,
        "frozen_from_bundle": frozen and begun,
        "has_val": "val" in sizes,
        "has_test": "test" in sizes,
        "accumulation": accumulation,
        "clip_norm": recipe.training.clip_norm,
        "patience": recipe.training.patience,
        **judged,
        "imports": _imports(transforms.lines, encoder),
    }
    return Ejected(rendered("mask_script.py.jinja", values), tuple(left_out))


def _rounded(transform: EvalTransform) -> list[str]:
    if transform.resize is None or len(set(transform.store_size)) == 1:
        return []
    return ["the longer side of a resized picture is rounded here, and was cut to whole pixels"]


def _imports(transforms: Sequence[str], encoder: EncoderCode | None) -> list[str]:
    parts = ["models"] * (encoder is not None) + ["tv_tensors"] * bool(transforms)
    return [
        "import numpy as np",
        "import torch",
        "from PIL import Image, ImageOps",
        "from safetensors.torch import load_file",
        "from torch import nn, optim",
        "from torch.utils.data import DataLoader",
        *([f"from torchvision import {', '.join(parts)}"] if parts else []),
        "from torchvision.transforms import v2",
    ]


def _constants(
    recipe: Recipe,
    bundle: Bundle,
    folders: MaskFolders,
    encoder: EncoderCode | None,
    bundle_path: Path,
    weights: Sequence[float] | None,
) -> list[str]:
    model, transform, training = bundle.model, bundle.transform, recipe.training
    assert isinstance(model, Unet)
    if transform.kind != "images" or transform.value_range not in (None, (0, 255)):
        raise InputError("the images are floats, or go through a transform of your own, which eject can't write")
    lines = [*folder_constants(recipe, folders), f'BUNDLE, WEIGHTS = {text(str(bundle_path))}, "weights.pt"']
    lines += [f"EPOCHS, BATCH_SIZE, SEED = {training.epochs}, {training.batch_size}, {training.seed}"]
    mean, std = ([round(value, 8) for value in values] for values in (transform.mean, transform.std))
    lines += [f"MEAN, STD = {mean}, {std}"] if len(mean) <= 3 else [f"MEAN = {mean}", f"STD = {std}"]
    if encoder is not None:
        lines += encoder.constants
    else:
        widths = tuple(model.width * 2**level for level in range((DEPTH if model.depth is None else model.depth) + 1))
        lines += [f"WIDTHS = {widths}  # channels of each level, the full size first"]
    lines += ['DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")']
    lines += ["IGNORED = 255  # in place of a class: neither trained on nor judged"]
    if weights is not None:
        lines += weights_code("CLASS_WEIGHTS", weights)
    return lines


def _up(model: Unet, encoder: EncoderCode | None) -> str:
    below = "2 * wide" if encoder is None else "below"
    if model.up == "transposed":
        factor = 2 if encoder is None else "factor"
        return f"nn.ConvTranspose2d({below}, wide, {factor}, stride={factor})"
    return f"nn.Conv2d({below}, wide, 1)"


def _loader(of_training: str) -> list[str]:
    collate = f"collate_fn=lambda p: read(p, {of_training})" if of_training else "collate_fn=read"
    parts = ('splits["train"]', "BATCH_SIZE", "shuffle=True", collate)
    return Call("DataLoader", parts).lines(4, "train_loader = ")


def _epoch_call(every: str, monitor: str, has_val: bool) -> list[str]:
    parts = ('f"epoch {epoch}"', "model", "train_loader", "optimizer", *(["scheduler"] if every == "step" else []))
    return Call("run_epoch", parts).lines(8, "" if has_val else f"{monitor} = ")


def _judged(recipe: Recipe, has_val: bool) -> dict[str, Any]:
    """Return what makes an epoch the best. Raises InputError for a metric that the script does not count."""
    split, _, what = recipe.training.monitor.partition("_")
    if what not in _MONITORS or split not in (("val",) if has_val else ("train", "val")):
        raise InputError(f"`training.monitor` is {split}_{what}, by which the script for masks does not judge an epoch")
    small = what == "loss"
    words = {"better": "<" if small else ">", "worst": 'float("inf")' if small else "-1.0"}
    monitor_words = f"{'val' if has_val else 'train'} {what.replace('_', ' ')}"
    return {"monitor": _MONITORS[what], "monitor_words": monitor_words, "monitored": what.replace("_", " "), **words}
