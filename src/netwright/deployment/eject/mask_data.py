"""Where the images and masks of a script lie, how they are read, and how both are changed alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from netwright.config.augmentations import Augmentation
from netwright.config.recipe import Recipe
from netwright.data.listing import SPLIT_FOLDERS
from netwright.data.masks.pair_folders import IMAGES, MASKS, both_in, splits_in
from netwright.data.transform import EvalTransform
from netwright.deployment.bundle import Bundle
from netwright.deployment.eject.code import Call, Raw, call, text
from netwright.deployment.eject.images import torchvisions
from netwright.errors import InputError

_ERASING = ("cutout", "random_erasing")  # torchvision's warns of every mask that it leaves alone


@dataclass(frozen=True)
class MaskFolders:
    """`images` and `masks` are their folders, with {} for the name of a split's; `splits` what these are called, empty
    where there are no splits."""

    images: str
    masks: str
    splits: dict[str, str]


def mask_folders(recipe: Recipe) -> MaskFolders:
    """Find the folders of images and masks. Raises InputError for other data."""
    source, masks = Path(recipe.data.source), Path(recipe.data.masks or "")
    if not (source.is_dir() and masks.is_dir()):
        raise InputError(f"eject opens masks from two folders of equal names, and the data are {recipe.data.source}")
    found = both_in(source) if source == masks else _beside(source, masks)
    if len(found) == 1:  # all, or train alone
        images, of_masks = map(str, next(iter(found.values())))
        return MaskFolders(images, of_masks, {})
    if any("{" in str(path) for path in (source, masks)):
        raise InputError(f"{source} has a brace in its name, which stands for a split in the script; rename the folder")
    patterns = {split: [_pattern(path) for path in pair] for split, pair in found.items()}
    names = {split: [name for _, name in each] for split, each in patterns.items()}
    if len({tuple(where for where, _ in each) for each in patterns.values()}) > 1 or any(
        len(set(each)) > 1 for each in names.values()
    ):
        raise InputError(f"the splits of {source} have other names among the masks, which eject has no short words for")
    images, of_masks = (where for where, _ in patterns["train"])
    return MaskFolders(images, of_masks, {split: each[0] for split, each in names.items()})


def _pattern(path: Path) -> tuple[str, str]:
    """Return a split's folder with {} for the split's name, and this name."""
    if path.name in (IMAGES, MASKS) and path.parent.name.lower() in SPLIT_FOLDERS:
        return str(path.parent.parent / "{}" / path.name), path.parent.name
    return str(path.parent / "{}"), path.name


def _beside(images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """Return split -> (images, masks) of two folders."""
    splits, of_masks = splits_in(images), splits_in(masks)
    if splits and splits.keys() <= of_masks.keys():
        return {split: (splits[split], of_masks[split]) for split in splits}
    return {"all": (images, masks)}


def folder_constants(recipe: Recipe, folders: MaskFolders) -> list[str]:
    """Write what the classes are, and where images and masks lie."""
    classes = recipe.data.mask_classes or {}
    numbers = (f"0x{value[1:].upper()}" if isinstance(value, str) else str(value) for value in classes.values())
    of_class = tuple(f"{text(name)}: {number}" for name, number in zip(classes, numbers, strict=True))
    images, masks = text(folders.images), text(folders.masks)
    where = f"{images}, {masks}" if folders.splits else f"Path({images}), Path({masks})"
    return [*Call("", of_class, "{}").lines(0, "CLASSES = "), f"IMAGES, MASKS = {where}"]


def splits_code(folders: MaskFolders, sizes: Mapping[str, int]) -> list[str]:
    """Write what opens the splits: as given, and of as many pairs as the run's where they are cut."""
    cut = [split for split in ("val", "test") if split in sizes and split not in folders.splits]
    parts, at = [], 0
    for split in cut:
        parts.append(f'"{split}": pairs[{at or ""}:{at + sizes[split]}]')
        at += sizes[split]
    made = Call("", (f'"train": pairs[{at}:]' if at else '"train": pairs', *parts), "{}")
    pairs = "[(images[name], masks[name]) for name in sorted(images) if name in masks]"
    shuffled = "np.random.default_rng(SEED).shuffle(pairs)"
    lines = ['"""Return each split\'s pairs of an image and the mask of the same name."""']
    if not folders.splits:
        lines += [*_found("IMAGES", "MASKS"), f"pairs = {pairs}", shuffled, *made.lines(0, "return ")]
        return ["def open_splits():", *(f"    {line}" for line in lines)]
    opened = {split: name for split, name in folders.splits.items() if split in sizes}
    names = ", ".join(f'"{split}": {text(name)}' for split, name in opened.items())
    lines += ["splits = {}", f"for split, folder in {{{names}}}.items():"]
    lines += ["    images, masks = Path(IMAGES.format(folder)), Path(MASKS.format(folder))"]
    inner = [*_found("images", "masks"), pairs.replace("[(", "splits[split] = [(", 1).replace("name", "n")]
    lines += [f"    {line}" for line in inner]
    if cut:
        lines += ['pairs = splits["train"]', shuffled, *made.lines(0, "splits |= ")]
    return ["def open_splits():", *(f"    {line}" for line in [*lines, "return splits"])]


def _found(images: str, masks: str) -> list[str]:
    return [
        f'images = {{p.relative_to({images}).with_suffix(""): p for p in {images}.rglob("*.*")}}',
        f'masks = {{p.relative_to({masks}).with_suffix(""): p for p in {masks}.rglob("*.*")}}',
    ]


@dataclass
class Transforms:
    """`lines` define what changes an image and its mask alike; `of_training` and `of_judging` are the names of it."""

    lines: list[str] = field(default_factory=list)
    of_training: str = ""
    of_judging: str = ""


def transforms_code(
    parts: tuple[Augmentation, ...], transform: EvalTransform, without: Sequence[str] = ()
) -> tuple[Transforms, list[str]]:
    """Write the augmentation by torchvision's transforms of images and masks, but what is to be left out by name, and
    say what is left out of it."""
    made = Transforms()
    size: Any = transform.image_size[0] if len(set(transform.image_size)) == 1 else transform.image_size
    cut = call("v2.CenterCrop", size)
    transform = msgspec.structs.replace(transform, store_size=transform.image_size)  # cut before all but a resized crop
    steps: list[str | Call] = []
    if transform.resize is not None:
        made.of_judging = "cut"
        made.lines += cut.lines(0, "cut = ")
        steps += [] if any(part.name == "random_resized_crop" for part in parts) else ["cut"]
    unknown: list[str] = []
    left_out: list[str] = []
    for part in parts:
        found = None if part.name in (*_ERASING, *without) else _of_both(part, transform)
        if found is None:
            unknown.append(part.name)
            continue
        steps.append(found)
        if getattr(part, "alternating", False):
            left_out.append("flips alternate from epoch to epoch in the run, and are drawn anew here")
    if any("fill=OUTSIDE" in step.parts for step in steps if isinstance(step, Call)):
        made.lines += ['OUTSIDE = {tv_tensors.Mask: IGNORED, "others": 0}  # what comes into an image']
    if steps and steps != ["cut"]:
        made.of_training = "augment"
        made.lines += Call("nn.Sequential", tuple(steps)).lines(0, "augment = ")
    return made, [f"{' and '.join(unknown)} of the augmentation"] * bool(unknown) + left_out


def _of_both(each: Augmentation, transform: EvalTransform) -> Call | None:
    """Return torchvision's transform of an image and its mask; None where it has none."""
    part: Any = each
    outside = "fill=OUTSIDE"
    match part.name:
        case "random_window":
            return call("v2.RandomCrop", part.size)
        case "rotation":
            return Call("v2.RandomRotation", (str(part.degrees), "Image.BILINEAR", outside))
        case "affine":
            shear = part.shear or None
            moves = call("v2.RandomAffine", part.degrees, part.translate, part.scale, shear, Raw("Image.BILINEAR"))
            return Call(moves.name, (*moves.parts, outside))
    made = torchvisions(part, transform)
    if made is None:
        return None
    if part.name == "random_crop" and part.mode != "reflect":
        made = Call(made.name, (*made.parts, outside))
    found = _in_v2(made)
    assert isinstance(found, Call)
    return found


def _in_v2(made: "Call | str") -> "Call | str":
    """Return source with the second version of torchvision's transforms, which moves masks too."""
    if isinstance(made, str):
        return Raw(made.replace("transforms.", "v2."))
    return Call(made.name.replace("transforms.", "v2."), tuple(map(_in_v2, made.parts)), made.brackets)


def reading_code(recipe: Recipe, bundle: Bundle, transforms: Transforms) -> dict[str, Any]:
    """Return what the template says of reading an image and a mask, and of their sizes."""
    height, width = bundle.transform.store_size
    fitted = {"BILINEAR": "image", "NEAREST": ""}
    if bundle.transform.resize is not None and height == width:
        fitted = {name: f"v2.functional.resize(image, {height}, Image.{name})" for name in fitted}
    elif bundle.transform.resize is not None:
        fitted = {name: f"ImageOps.cover(image, ({width}, {height}), Image.{name})" for name in fitted}
    return {
        "mode": "L" if bundle.in_channels == 1 else "RGB",
        "channels": bundle.in_channels,
        "resized": bundle.transform.resize is not None,
        "fitted_image": fitted["BILINEAR"],
        "read_mask": "\n".join(_read_mask(recipe, fitted["NEAREST"])),
        "transformed": bool(transforms.of_training or transforms.of_judging),
        "of_judging": transforms.of_judging or "tuple",
    }


def _read_mask(recipe: Recipe, fitted: str) -> list[str]:
    fit = [f"    image = {fitted}"] if fitted else []
    if any(isinstance(value, str) for value in (recipe.data.mask_classes or {}).values()):
        return [
            *fit,
            '    values = np.asarray(image.convert("RGB")) @ [65536, 256, 1]  # as 0xRRGGBB',
            "    of_class = [values == value for value in CLASSES.values()]",
        ]
    return [
        '    image = image.convert("L") if image.mode in ("1", "LA", "RGB", "RGBA") else image',
        *fit,
        "    of_class = [np.asarray(image) == value for value in CLASSES.values()]",
    ]
