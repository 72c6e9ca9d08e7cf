"""The whole script: what is written where, from a run's recipe, bundle and counts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from torch import nn

from netwright.config.recipe import Recipe
from netwright.data.transform import EvalTransform
from netwright.deployment.bundle import Bundle
from netwright.deployment.eject.code import WIDTH, Call, text
from netwright.deployment.eject.images import DataCode, data_code, transform_code
from netwright.deployment.eject.learning import learning_code
from netwright.deployment.eject.network import network_code
from netwright.deployment.eject.template import Ejected, rendered, said_left_out
from netwright.deployment.eject.torchvision_network import place
from netwright.errors import InputError
from netwright.models.backbone import find_head

_MOST_NAMES = 1000  # characters of class names; more of them are read from the bundle


def write_script(
    recipe: Recipe,
    bundle: Bundle,
    network: nn.Module,
    sizes: Mapping[str, int],
    class_counts: Sequence[int],
    *,
    bundle_path: Path,
    file: str,
) -> Ejected:
    """Write a run as one script; `sizes` says how many images each split has, `class_counts` how many of train each
    class, `file` is what the script will be called.

    Raises InputError for parts that plain PyTorch has no short words for."""
    made_network = network_code(bundle.model, network, bundle.image_size, bundle.task.num_outputs)
    made_data = data_code(recipe, bundle.task.class_names)
    transforms, without = transform_code(bundle.transform, recipe.augmentation)
    head = find_head(network).paths if recipe.training.freeze == "backbone" else ()
    partly = bool(head) or "requires_grad_(False)" in "".join(made_network.build)
    learning = learning_code(recipe, class_counts, all_trainable=not partly)
    begun = made_network.unpublished
    versioned = type(network).__name__ == "MNASNet"
    is_frozen = bool(head) and recipe.training.unfreeze is None and not versioned
    random = [f"the first weights are random (the run began with {begun!r})"] if begun and not is_frozen else []
    left_out = [*without, *made_network.left_out, *random, *learning.left_out]
    values: dict[str, Any] = {
        "title": f"{bundle.model.name} on {bundle.data.get('name', 'images')}",
        "file": file,
        "left_out": said_left_out(left_out),
        "constants": "\n".join(_constants(recipe, bundle, bundle_path, made_network.names)),
        "transforms": "\n".join(transforms),
        "classes": [*made_data.classes, *made_network.classes],
        "data": "\n".join(made_data.build),
        "splits": "\n".join(_splits(made_data, sizes)),
        "network": "\n".join(made_network.build),
        "shape": "B, " + ", ".join(map(str, (bundle.in_channels, *bundle.image_size))),
        "num_outputs": f"B, {bundle.task.num_outputs}",
        "names": bool(made_network.names),
        "pretrained": made_network.pretrained,
        "versioned": versioned,
        "head": [f"model{place(path)}" for path in head],
        "head_names": _prefixes(head),
        "frozen_from_bundle": bool(begun) and is_frozen,
        "learning": "\n".join(learning.build),
        "every": learning.every,
        "loaders": "\n".join(_loaders(sizes, recipe)),
        "has_val": "val" in sizes,
        "has_test": "test" in sizes,
        **_judged(recipe, bundle, "val" in sizes),
        **_answers(bundle),
        "epoch_call": "\n".join(_epoch_call(learning.every)),
        "mode": "L" if bundle.in_channels == 1 else "RGB",
        "accumulation": recipe.training.accumulation_steps,
        "clip_norm": recipe.training.clip_norm,
    }
    in_bundle = ["import json", "from pathlib import Path"] if "json.loads" in values["constants"] else []
    imports = [*in_bundle, *made_network.imports, *made_data.imports, *learning.imports, *_always(sizes, made_data)]
    values["standard_imports"], values["imports"] = _sorted_imports(imports)
    return Ejected(rendered("script.py.jinja", values), tuple(left_out))


def _prefixes(head: tuple[str, ...]) -> str:
    """Return what the names of the head's parameters start with, as source."""
    names = tuple(text(f"{path}.") for path in head)
    return names[0] if len(names) == 1 else Call("", names).line()


def _always(sizes: Mapping[str, int], data: DataCode) -> list[str]:
    lines = ["import sys", "import torch", "from PIL import Image, ImageOps"]
    lines += [
        "from safetensors.torch import load_file",
        "from torch import nn, optim",
        "from torchvision import transforms",
    ]
    classes = ["DataLoader"] + (["Dataset"] if data.classes else [])
    subset = any("Subset(" in line for line in [*data.build, *_splits(data, sizes)])
    return [*lines, f"from torch.utils.data import {', '.join(classes + (['Subset'] if subset else []))}"]


def _sorted_imports(lines: list[str]) -> tuple[list[str], list[str]]:
    """Return imports of the standard library and of others, sorted and joined as ruff does."""
    names: dict[str, set[str]] = {}
    plain: set[str] = set()
    for line in lines:
        if line.startswith("import "):
            plain.add(line)
            continue
        module, _, imported = line.removeprefix("from ").partition(" import ")
        names.setdefault(module, set()).update(imported.split(", "))
    every = [(0, line.split()[1].lower(), line) for line in plain]
    for module, found in names.items():
        every.append((1, module.lower(), f"from {module} import {', '.join(sorted(found))}"))
    standard = ("collections", "json", "pathlib", "sys")
    groups = ([], [])  # type: tuple[list[str], list[str]]
    for _, module, line in sorted(every):
        groups[module not in standard].append(line)
    return groups


def _constants(recipe: Recipe, bundle: Bundle, bundle_path: Path, names: dict[str, str]) -> list[str]:
    of_class = tuple(text(name) for name in bundle.task.class_names)
    in_bundle = sum(map(len, of_class)) > _MOST_NAMES
    lines = [] if in_bundle else Call("", of_class, "[]").lines(0, "CLASSES = ")
    if recipe.data.source != "digits":
        root = recipe.data.source if Path(recipe.data.source).exists() else (recipe.data.root or "data")
        lines.append(f"ROOT = {text(str(Path(root)))}")
    # one line each, whatever their length: the script is as long in every folder
    lines += [f"BUNDLE = {text(str(bundle_path))}"]
    if in_bundle:
        lines += ['CLASSES = json.loads(Path(BUNDLE, "bundle.json").read_text())["class_names"]']
    lines += ['WEIGHTS = "weights.pt"']
    training = recipe.training
    lines.append(f"EPOCHS, BATCH_SIZE, SEED = {training.epochs}, {training.batch_size}, {training.seed}")
    if bundle.temperature is not None:
        lines += ["# what outputs are divided by, fitted on val: the network is as sure as it is right"]
        lines += [f"TEMPERATURE = {bundle.temperature}"]
    if names:
        lines.append("# what the bundle calls our layers that have weights, in their order")
        joined = " ".join(names.values())
        short = f"IN_BUNDLE = {text(joined)}"
        lines += [short] if len(short) <= WIDTH else ['IN_BUNDLE = """', *wrap(joined, WIDTH), '"""']
    return lines


def _splits(data: DataCode, sizes: Mapping[str, int]) -> list[str]:
    """Return the lines that open what is given and cut the rest, as many images as the run had, drawn at random."""
    given = "all" if data.given == ("all",) else "train"
    cut = [split for split in ("test", "val") if split in sizes and split not in data.given]
    whole = {split: f'open_data("{split}", eval_transform)' for split in data.given if split in ("val", "test")}
    pairs = {split: opened for split, opened in whole.items() if split in sizes}
    if not cut:
        pairs = {"train": f'open_data("{given}", train_transform)', **pairs}
        return ["    return {", *(f'        "{split}": {opened},' for split, opened in pairs.items()), "    }"]
    at = 0
    for split in cut:
        pairs[split] = f"Subset(to_judge, rows[{at or ''}:{at + sizes[split]}])"
        at += sizes[split]
    pairs = {"train": f"Subset(to_train, rows[{at}:])", **pairs}
    return [
        f'    to_train = open_data("{given}", train_transform)',
        f'    to_judge = open_data("{given}", eval_transform)',
        "    generator = torch.Generator().manual_seed(SEED)",
        "    rows = torch.randperm(len(to_train), generator=generator).tolist()",
        f"    # in random order: {', '.join(f'{sizes[split]} for {split}' for split in cut)}, the rest to train",
        "    return {",
        *(f'        "{split}": {pairs[split]},' for split in ("train", "val", "test") if split in pairs),
        "    }",
    ]


def _loaders(sizes: Mapping[str, int], recipe: Recipe) -> list[str]:
    alone = sizes["train"] % recipe.training.batch_size == 1
    last = ["drop_last=True"] if alone else []  # batch norm has no variance of one image
    parts = ('splits["train"]', "batch_size=BATCH_SIZE", "shuffle=True", *last)
    lines = Call("DataLoader", parts).lines(4, "train_loader = ")
    return lines + (['    val_loader = DataLoader(splits["val"], batch_size=256)'] if "val" in sizes else [])


def _judged(recipe: Recipe, bundle: Bundle, has_val: bool) -> dict[str, Any]:
    """Return what makes an epoch the best. Raises InputError for a metric of the user's own."""
    monitor = recipe.training.monitor
    if monitor not in ("val_loss", "val_accuracy", "train_loss", "train_accuracy"):
        raise InputError(f"`training.monitor` is {monitor!r}, a metric of your own, which eject can't write")
    small = monitor.endswith("loss")
    return {
        "monitor": monitor,
        "monitor_words": monitor.replace("_", " "),
        "has_monitor": has_val or monitor.startswith("train"),
        "better": "<" if small else ">",
        "worst": 'float("inf")' if small else "-1.0",
        "patience": recipe.training.patience,
        "binary": bundle.task.num_outputs == 1,
        "threshold": "0.5" if bundle.task.output == "probabilities" else "0",
    }


def _epoch_call(every: str) -> list[str]:
    parts = ("model", "train_loader", "criterion", "optimizer", *(["scheduler"] if every == "step" else []))
    return Call("run_epoch", parts).lines(8, "train_loss, train_accuracy = ")


def _answers(bundle: Bundle) -> dict[str, str]:
    """Return how images become outputs, and outputs probabilities."""
    temperature = "" if bundle.temperature is None else " / TEMPERATURE"
    if bundle.task.num_outputs == 1:
        logit = "torch.logit(outputs[0, 0])" if bundle.task.output == "probabilities" else "outputs[0, 0]"
        lines = [f"        second = torch.sigmoid({logit}{temperature})"]
        lines.append("        probabilities = torch.stack([1 - second, second])")
    else:
        lines = [f"        probabilities = torch.softmax(outputs[0]{temperature}, dim=0)"]
    words = {
        "none": "",
        "mirror": ", the mean of two views of them",
        "mirror_shift": ", the mean of six views of them",
    }[bundle.transform.views]
    return {"probabilities": "\n".join(lines), "views_words": words, "views": "\n".join(_views(bundle.transform))}


def _views(transform: EvalTransform) -> list[str]:
    if transform.views == "none":
        return ["        return model(images)"]
    if transform.views == "mirror":
        return ["        return (model(images) + model(images.flip(-1))) / 2"]
    mode = "reflect" if min(transform.image_size) > 1 else "replicate"
    return [
        f"        padded = nn.functional.pad(images, (1, 1, 1, 1), mode={text(mode)})",
        "        moved = [images, padded[..., :-2, :-2], padded[..., 2:, 2:]]",
        "        means = [(model(each) + model(each.flip(-1))) / 2 for each in moved]",
        "        return means[0] / 2 + means[1] / 4 + means[2] / 4",
    ]
