"""Data and transforms as source: torchvision's data sets and transforms, or a small data set over arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from netwright.config.augmentations import Augmentation
from netwright.config.datasets import NAMED_SETS
from netwright.config.recipe import Recipe
from netwright.data.transform import EvalTransform
from netwright.deployment.eject.code import Call, Raw, call, source
from netwright.errors import InputError

ARRAYS = '''class Arrays(Dataset):
    """Images (N, H, W) or (N, H, W, C) uint8 and their targets (N,)."""

    def __init__(self, images, targets, transform):
        self.images, self.targets, self.transform = images, targets, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = Image.fromarray(self.images[index].squeeze())
        return self.transform(image), int(self.targets[index])
'''


@dataclass
class DataCode:
    """`build`: the lines inside of open_data(split, transform), which gives a Dataset; `given`: which splits there are
    without cutting: all, or train and some of val and test."""

    build: list[str]
    given: tuple[str, ...]
    classes: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)


def data_code(recipe: Recipe, class_names: tuple[str, ...]) -> DataCode:
    """Write how the data are opened. Raises InputError for data that the classic idiom has no words for."""
    name, path = recipe.data.source, Path(recipe.data.source)
    if name == "digits":
        return _digits(recipe.data.classes)
    if name in NAMED_SETS:
        return _named(recipe)
    if recipe.data.classes is None and path.is_dir():
        return _folder(path, class_names)
    if recipe.data.classes is None and path.suffix == ".npz" and path.is_file():
        return _npz(path)
    kept = " with `data.classes`" if recipe.data.classes else ""
    raise InputError(
        f"the data are {name}{kept}, which eject can't open in plain PyTorch; it knows the named sets, folders of "
        "classes and .npz files of uint8 images, where they lay when the run was trained"
    )


def _digits(classes: tuple[str, ...] | None) -> DataCode:
    imports = ["import numpy as np", "from sklearn.datasets import load_digits"]
    if classes is not None:
        lines = [
            "    digits = load_digits()  # 8 x 8 pixels with levels from 0 to 16",
            "    kept = [int(name) for name in CLASSES]",
            "    rows = np.isin(digits.target, kept)",
            "    images = np.round(digits.images[rows] * 255 / 16).astype(np.uint8)",
            "    targets = [kept.index(target) for target in digits.target[rows]]",
            "    return Arrays(images, targets, transform)",
        ]
        return DataCode(lines, ("all",), [ARRAYS], imports)
    lines = [
        "    digits = load_digits()  # 8 x 8 pixels with levels from 0 to 16",
        "    images = np.round(digits.images * 255 / 16).astype(np.uint8)",
        "    return Arrays(images, digits.target, transform)",
    ]
    return DataCode(lines, ("all",), [ARRAYS], imports)


def _named(recipe: Recipe) -> DataCode:
    """Write one of torchvision's sets, with some of its classes where the recipe keeps some."""
    known = NAMED_SETS[recipe.data.source]
    if known.splits.keys() == {"all"}:
        given: tuple[str, ...] = ()
    elif known.splits.keys() == {"train", "test"} and known.splits["train"] == {"train": True}:
        given = ('train=split == "train"',)
    else:
        given = ("**arguments[split]",)
    lines = _arguments(known.splits) if "**arguments[split]" in given else []
    made = Call(f"datasets.{known.torchvision_name}", ("ROOT", *given, "download=True", "transform=transform"))
    lines += made.lines(4, "return " if recipe.data.classes is None else "dataset = ")
    if recipe.data.classes is not None:
        lines += [
            '    names = [name.split(" - ")[-1] for name in dataset.classes]',
            "    kept = [names.index(name) for name in CLASSES]",
            "    dataset.target_transform = kept.index",
            "    rows = [row for row, target in enumerate(dataset.targets) if target in kept]",
            "    return Subset(dataset, rows)",
        ]
    return DataCode(lines, tuple(known.splits), [], ["from torchvision import datasets"])


def _arguments(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines that say with which arguments torchvision gives each split."""
    lines = ["    arguments = {"]
    for split, given in splits.items():
        pairs = ", ".join(f'"{key}": {source(value)}' for key, value in given.items())
        lines.append(f'        "{split}": {{{pairs}}},')
    return [*lines, "    }"]


def _folder(path: Path, class_names: tuple[str, ...]) -> DataCode:
    known = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
    there = {split: [path / name for name in names if (path / name).is_dir()] for split, names in known.items()}
    if not there["train"]:
        lines = ["    return datasets.ImageFolder(ROOT, transform)"]
        return DataCode(lines, ("all",), [], ["from torchvision import datasets"])
    folders = {split: paths[0].name for split, paths in there.items() if paths}
    pairs = ", ".join(f'"{split}": "{folder}"' for split, folder in folders.items())
    opened = '    return datasets.ImageFolder(f"{ROOT}/{folders[split]}", transform)'
    lines = [f"    folders = {{{pairs}}}", opened]
    return DataCode(lines, tuple(folders), [], ["from torchvision import datasets"])


def _npz(path: Path) -> DataCode:
    with np.load(path, allow_pickle=False) as archive:
        keys = set(archive.files)
        for images, targets, lone in (("x", "y", True), ("images", "labels", True)):
            if {images, targets} <= keys:
                return _of_npz(archive, images, targets, lone)
        for images, targets in (("x_{}", "y_{}"), ("{}_images", "{}_labels")):
            if {images.format("train"), targets.format("train")} <= keys:
                return _of_npz(archive, images, targets, False)
    raise InputError(f"{path} has other arrays than those that eject knows: x_train and y_train, x and y")


def _of_npz(archive: Mapping[str, Any], images: str, targets: str, lone: bool) -> DataCode:
    given = ("all",) if lone else tuple(s for s in ("train", "val", "test") if images.format(s) in archive)
    for split in given:
        pixels, labels = archive[images.format(split)], archive[targets.format(split)]
        if pixels.dtype != np.uint8 or labels.dtype.kind not in "iu":
            raise InputError("the .npz has float images or text labels; eject knows uint8 images and numbers")
    f = "" if lone else "f"
    names = [f'{f}"{name.format("{split}")}"' for name in (images, targets)]
    lines = [
        "    arrays = np.load(ROOT)",
        f"    images, targets = arrays[{names[0]}], arrays[{names[1]}]",
        "    return Arrays(images, targets.squeeze(), transform)",
    ]
    return DataCode(lines, given, [ARRAYS], ["import numpy as np"])


def transform_code(transform: EvalTransform, augmentation: tuple[Augmentation, ...]) -> tuple[list[str], list[str]]:
    """Return the lines that define to_tensor, train_transform and eval_transform, and what is left out of them.

    Raises InputError for floats and for a transform of the user's own."""
    if transform.kind != "images" or transform.value_range not in (None, (0, 255)):
        raise InputError("the images are floats, or go through a transform of your own, which eject can't write")
    statistics = [list(transform.mean), list(transform.std)]
    parts = [call("transforms.ToTensor"), call("transforms.Normalize", *statistics)]
    lines = Call("", tuple(parts), "[]").lines(0, "to_tensor = ")
    random, late, left_out = _augmentations(augmentation, transform)
    before, after = _geometry(transform)
    resized = transform.resize is not None or transform.store_size != transform.image_size
    crops = any(part.name == "random_resized_crop" for part in augmentation)
    kept: list[Call | str] = [] if crops or not resized else [*before]
    cut: list[Call | str] = [] if crops or not resized else [after]
    steps = (*kept, *random, *cut, "*to_tensor", *late)
    train = call("transforms.Compose", Call("", tuple(steps), "[]") if len(steps) > 1 else Raw("to_tensor"))
    lines += train.lines(0, "train_transform = ")
    steps = (*before, after, "*to_tensor")
    lines += call("transforms.Compose", Call("", tuple(steps), "[]")).lines(0, "eval_transform = ")
    return lines, left_out


def _geometry(transform: EvalTransform) -> tuple[list[Call], Call]:
    """Return how a picture is resized, and what is cut from it."""
    height, width = transform.image_size
    cut = call("transforms.CenterCrop", height if height == width else (height, width))
    if transform.whole:
        return [call("transforms.Resize", transform.resize or min(height, width))], cut
    height, width = transform.store_size
    return [call("transforms.Resize", height if height == width else (height, width))], cut


def _augmentations(
    augmentation: tuple[Augmentation, ...], transform: EvalTransform
) -> tuple[list[Call], list[Call], list[str]]:
    """Return torchvision's transforms of PIL images, those of tensors, and what has no counterpart."""
    early, late, left_out = [], [], []
    for part in augmentation:
        made = torchvisions(part, transform)
        if made is None:
            left_out.append(f"the augmentation {part.name}")
        elif made.name == "transforms.RandomErasing":
            late.append(made)
        else:
            early.append(made)
        if getattr(part, "alternating", False):
            left_out.append("flips alternate from epoch to epoch in the run, and are drawn anew here")
        if part.name in ("cutout", "random_erasing"):
            left_out.append(f"{part.name} fills with the mean here, and keeps its box inside of the image")
    return early, late, left_out


def torchvisions(part: Any, transform: EvalTransform) -> Call | None:
    """Return torchvision's transform for a part of the augmentation; None where it has none."""
    bilinear = Raw("transforms.InterpolationMode.BILINEAR")
    size: Any = transform.image_size[0] if len(set(transform.image_size)) == 1 else transform.image_size
    store: Any = transform.store_size[0] if len(set(transform.store_size)) == 1 else transform.store_size
    match part.name:
        case "random_crop":
            mode = {"padding_mode": "reflect"} if part.mode == "reflect" else {}
            return call("transforms.RandomCrop", store, padding=part.padding, **mode)
        case "random_resized_crop":
            return call("transforms.RandomResizedCrop", size, scale=part.scale, ratio=part.ratio)
        case "horizontal_flip":
            return call("transforms.RandomHorizontalFlip", *([] if part.p == 0.5 else [part.p]))
        case "vertical_flip":
            return call("transforms.RandomVerticalFlip", *([] if part.p == 0.5 else [part.p]))
        case "rotation":
            return call("transforms.RandomRotation", part.degrees, interpolation=bilinear)
        case "affine":
            shear = {"shear": part.shear} if part.shear else {}
            return call(
                "transforms.RandomAffine", part.degrees, part.translate, part.scale, **shear, interpolation=bilinear
            )
        case "color_jitter":
            return call("transforms.ColorJitter", part.brightness, part.contrast, part.saturation, part.hue)
        case "grayscale":
            return call("transforms.RandomGrayscale", part.p)
        case "gaussian_blur":
            blur = call("transforms.GaussianBlur", part.kernel_size, part.sigma)
            return call("transforms.RandomApply", Call("", (blur,), "[]"), part.p)
        case "rand_augment":
            return call("transforms.RandAugment", part.num_ops, part.magnitude)
        case "trivial_augment_wide":
            return call("transforms.TrivialAugmentWide")
        case "random_erasing":
            return call("transforms.RandomErasing", part.p, part.scale, part.ratio)
        case "cutout":
            share = part.size**2 / (transform.image_size[0] * transform.image_size[1])
            return call("transforms.RandomErasing", part.p, (share, share), (1.0, 1.0))
        case _:
            return None
