"""The script of a U-Net: images and masks in two folders, augmented alike, trained and predicted in plain PyTorch."""

from pathlib import Path
from typing import Any

from torch import nn

from netwright.config.augmentations import Augmentation
from netwright.config.models import Unet
from netwright.config.optimization import BceDice, BceWithLogits, Criterion, CrossEntropy, CrossEntropyDice, Dice, Focal
from netwright.config.recipe import Recipe
from netwright.data.masks.pair_folders import both_in, splits_in
from netwright.data.transform import EvalTransform
from netwright.deployment.bundle import Bundle
from netwright.deployment.eject.code import Call, Raw, call, text
from netwright.deployment.eject.learning import learning_code
from netwright.deployment.eject.template import Ejected, rendered
from netwright.errors import InputError
from netwright.models.unet import DEPTH

_MONITORS = {"loss": "loss", "accuracy": "accuracy", "mean_dice": "dice"}


def write_mask_script(
    recipe: Recipe, bundle: Bundle, network: nn.Module, counts: dict[str, list[int]], *, bundle_path: Path, file: str
) -> Ejected:
    """Write a run of a U-Net as one script; `counts` has how many images each split has.

    Raises InputError for what the script has no short words for."""
    model = bundle.model
    if not isinstance(model, Unet) or model.encoder is not None:
        raise InputError(f"of networks that give masks eject writes a U-Net of its own, and this is {_called(model)}")
    images, masks = _folders(recipe)
    augmentation, without = _augmentation(recipe.augmentation)
    # the criterion is a function of its own, with weights by pixels
    learning = learning_code(recipe, [], all_trainable=True, criterion=[])
    left_out = [*without, *learning.left_out, *_left_out(recipe)]
    sizes = {split: sum(each) for split, each in counts.items()}
    widths = [model.width * 2**level for level in range((DEPTH if model.depth is None else model.depth) + 1)]
    values: dict[str, Any] = {
        "title": f"{model.name} on {bundle.data.get('name', 'images')}",
        "file": file,
        "weights_file": "weights.pt",
        "left_out": left_out,
        "constants": "\n".join([*_constants(recipe, images, masks, bundle_path), *_normalised(bundle.transform)]),
        "read_mask": "\n".join(_read_mask(recipe)),
        "augmentation": "\n".join(augmentation),
        "mode": "L" if bundle.in_channels == 1 else "RGB",
        "channels": bundle.in_channels,
        "num_outputs": bundle.task.num_outputs,
        "widths": "(" + ", ".join(map(str, widths)) + ("," if len(widths) == 1 else "") + ")",
        "batch_norm": model.batch_norm,
        "dropout": model.dropout,
        "transposed": model.up == "transposed",
        "plain_criterion": "\n".join(_torchs_criterion(recipe.criterion)),
        "criterion": "\n".join(_criterion(recipe.criterion, bundle.task.num_outputs)),
        "functions": "".join(f"\n{each}\n" for each in learning.functions),
        "learning": "\n".join(learning.build),
        "every": learning.every,
        "epoch_call": "\n".join(_epoch_call(learning.every)),
        "loaders": "\n".join(_loaders(sizes, recipe.training.batch_size, bool(augmentation))),
        "splits": "\n".join(_splits(sizes)),
        "has_val": "val" in sizes,
        "has_test": "test" in sizes,
        "clip_norm": recipe.training.clip_norm,
        "patience": recipe.training.patience,
        **_judged(recipe, "val" in sizes),
    }
    return Ejected(rendered("mask_script.py.jinja", values), tuple(left_out))


def _called(model: Any) -> str:
    return f"one with the encoder {model.encoder}" if isinstance(model, Unet) else str(model.name)


def _folders(recipe: Recipe) -> tuple[Path, Path]:
    """Return the folders of images and masks. Raises InputError for other data."""
    source, masks = Path(recipe.data.source), Path(recipe.data.masks or "")
    if not (source.is_dir() and masks.is_dir()):
        raise InputError(f"eject opens masks from two folders of equal names, and the data are {recipe.data.source}")
    if source == masks:
        found = both_in(source)
        if found.keys() != {"all"}:
            raise InputError(
                f"{source} has folders of splits, which the script for masks does not know; keep the bundle"
            )
        return found["all"]
    if splits_in(source):
        raise InputError(f"{source} has folders of splits, which the script for masks does not know; keep the bundle")
    return source, masks


def _constants(recipe: Recipe, images: Path, masks: Path, bundle_path: Path) -> list[str]:
    classes = recipe.data.mask_classes or {}
    numbers = (f"0x{value[1:]}" if isinstance(value, str) else str(value) for value in classes.values())
    of_class = tuple(f"{text(name)}: {number}" for name, number in zip(classes, numbers, strict=True))
    lines = Call("", of_class, "{}").lines(0, "CLASSES = ")
    lines += [f"IMAGES, MASKS = Path({text(str(images))}), Path({text(str(masks))})"]
    lines += [f"BUNDLE = {text(str(bundle_path))}", 'WEIGHTS = "weights.pt"']
    training = recipe.training
    return [*lines, f"EPOCHS, BATCH_SIZE, SEED = {training.epochs}, {training.batch_size}, {training.seed}"]


def _normalised(transform: EvalTransform) -> list[str]:
    """Write mean and deviation of the channels. Raises InputError for floats and resized pictures."""
    if transform.kind != "images" or transform.value_range not in (None, (0, 255)):
        raise InputError("the images are floats, or go through a transform of your own, which eject can't write")
    if transform.resize is not None:
        raise InputError(
            "the images were resized to one size, which the script for masks does not know; keep the bundle"
        )
    return [f"MEAN = {list(transform.mean)}", f"STD = {list(transform.std)}"]


def _read_mask(recipe: Recipe) -> list[str]:
    if any(isinstance(value, str) for value in (recipe.data.mask_classes or {}).values()):
        return [
            '    red, green, blue = np.asarray(image.convert("RGB")).transpose(2, 0, 1).astype(int)',
            "    values = red * 65536 + green * 256 + blue",
        ]
    return [
        '    image = image.convert("L") if image.mode in ("1", "LA", "RGB", "RGBA") else image',
        "    values = np.asarray(image)",
    ]


def _augmentation(parts: tuple[Augmentation, ...]) -> tuple[list[str], list[str]]:
    """Return the lines that change `image` (C, H, W) and `mask` (H, W) alike, and what is left out."""
    together: list[str] = []
    turned: list[str] = []
    left_out: list[str] = []
    for each in parts:
        part: Any = each
        match part.name:
            case "random_window":
                together.append(f"    both = transforms.RandomCrop({part.size})(both)")
            case "horizontal_flip":
                together.append(f"    both = transforms.RandomHorizontalFlip({part.p})(both)")
            case "vertical_flip":
                together.append(f"    both = transforms.RandomVerticalFlip({part.p})(both)")
            case "rotation":
                turned = [
                    f"    angle = float(torch.empty(()).uniform_({-part.degrees}, {part.degrees}))",
                    "    image = functional.rotate(image, angle, transforms.InterpolationMode.BILINEAR)",
                    "    mask = functional.rotate(mask[None], angle, fill=IGNORED)[0]",
                ]
                left_out.append("corners of rotated images are black in the run, and the mean here")
            case _:
                left_out.append(f"the augmentation {part.name}")
    if together:
        begin, end = "    both = torch.cat([image, mask[None]])", "    image, mask = both[:-1], both[-1].long()"
        together = [begin, *together, end]
    return [*together, *turned], left_out


def _splits(sizes: dict[str, int]) -> list[str]:
    """Return the line that returns a dict of splits of as many pairs as the run's."""
    parts, at = [], 0
    for split in [name for name in ("val", "test") if name in sizes]:
        parts.append(f'"{split}": pairs[{at or ""}:{at + sizes[split]}]')
        at += sizes[split]
    return Call("", (f'"train": pairs[{at or ""}:]', *parts), "{}").lines(4, "return ")


def _loaders(sizes: dict[str, int], batch_size: int, augmented: bool) -> list[str]:
    last = ["drop_last=True"] if sizes["train"] % batch_size == 1 else []  # batch norm and one image
    collate = "collate_fn=lambda p: read(p, True)" if augmented else "collate_fn=read"
    parts = ('splits["train"]', "BATCH_SIZE", "shuffle=True", *last, collate)
    lines = Call("DataLoader", parts).lines(4, "train_loader = ")
    return lines + (['    val_loader = DataLoader(splits["val"], collate_fn=read)'] if "val" in sizes else [])


def _epoch_call(every: str) -> list[str]:
    parts = ("model", "train_loader", "optimizer", *(["scheduler"] if every == "batch" else []))
    return Call("run_epoch", parts).lines(8, "loss, accuracy, dice = ")


def _judged(recipe: Recipe, has_val: bool) -> dict[str, Any]:
    """Return what makes an epoch the best. Raises InputError for a metric that the script does not count."""
    split, _, what = recipe.training.monitor.partition("_")
    if what not in _MONITORS or split not in (("val",) if has_val else ("train", "val")):
        raise InputError(f"`training.monitor` is {split}_{what}, by which the script for masks does not judge an epoch")
    small = what == "loss"
    words = {"better": "<" if small else ">", "worst": 'float("inf")' if small else "-1.0"}
    monitor_words = f"{'val' if has_val else 'train'} {what.replace('_', ' ')}"
    return {"monitor": _MONITORS[what], "monitor_words": monitor_words, **words}


def _left_out(recipe: Recipe) -> list[str]:
    weights = getattr(recipe.criterion, "class_weights", None)
    unweighted = weights is not None and not (isinstance(recipe.criterion, CrossEntropy) and weights != "balanced")
    said = {
        "the weights of the classes in the criterion": unweighted,
        "steps of several batches (training.accumulation_steps)": recipe.training.accumulation_steps > 1,
        "tiles: whole pictures go through the network at once": True,
    }
    return [what for what, is_so in said.items() if is_so]


def _torchs_criterion(criterion: Criterion) -> list[str]:
    """Return cross-entropy as source; of other criteria nothing."""
    if not isinstance(criterion, CrossEntropy):
        return []
    keywords: dict[str, Any] = {"ignore_index": Raw("IGNORED")}
    if criterion.class_weights not in (None, "balanced"):
        keywords["weight"] = call("torch.tensor", list(criterion.class_weights or ()), device=Raw("DEVICE"))
    if criterion.label_smoothing:
        keywords["label_smoothing"] = criterion.label_smoothing
    return call("nn.CrossEntropyLoss", **keywords).lines(0, "criterion = ")


_SCORES = {
    True: "torch.cat([-outputs, outputs], dim=1).sigmoid()",
    False: "outputs.softmax(dim=1)",
}


def _criterion(criterion: Criterion, num_outputs: int) -> list[str]:
    """Return as source a criterion that torch has not: a function of logits and masks, IGNORED left out."""
    match criterion:
        case CrossEntropy():
            return []
        case BceWithLogits():
            said, lines = "Binary cross-entropy over the pixels that have a class.", _bce("return ")
        case Dice():
            said = "1 less the mean over classes of Dice's coefficient of a batch."
            lines = _dice(criterion.smooth, num_outputs, "return 1 - ")
        case CrossEntropyDice() | BceDice():
            said = "Cross-entropy of pixels and Dice's coefficient of classes in a batch, together."
            pixels = ["pixels = nn.functional.cross_entropy(outputs, targets, ignore_index=IGNORED)"]
            pixels = _bce("pixels = ") if isinstance(criterion, BceDice) else pixels
            returned = f"return pixels + {criterion.dice_weight} * (1 - dice)"
            dice = _dice(criterion.smooth, num_outputs, "dice = ")
            lines = [*pixels, *(line for line in dice if line not in pixels), returned]
        case Focal():
            said = "Focal loss: pixels that are easy count little."
            lines = ['cross = {"ignore_index": IGNORED, "reduction": "none"}',
                     "losses = nn.functional.cross_entropy(outputs, targets, **cross)",
                     f"losses = (1 - torch.exp(-losses)).clamp(min=1e-12) ** {criterion.gamma} * losses",
                     "return losses[targets != IGNORED].mean()"]  # fmt: skip
        case _:
            raise InputError("the criterion is your own, any code, which eject can't write")
    inner = [f'"""{said}"""', *lines]
    return ["", "def criterion(outputs, targets):", *(f"    {line}" for line in inner), ""]


def _bce(before: str) -> list[str]:
    loss = "nn.functional.binary_cross_entropy_with_logits(logits, second)"
    return [
        "kept = targets != IGNORED",
        "logits, second = outputs[:, 0][kept], targets[kept].float()",
        f"{before}{loss}",
    ]


def _dice(smooth: float, num_outputs: int, before: str) -> list[str]:
    return [
        "kept = targets != IGNORED",
        f"scores = {_SCORES[num_outputs == 1]} * kept[:, None]",
        "ones = nn.functional.one_hot(targets * kept, len(CLASSES)).movedim(-1, 1)",
        "ones = ones * kept[:, None]",
        "both, all_of = (scores * ones).sum((0, 2, 3)), (scores + ones).sum((0, 2, 3))",
        f"{before}((2 * both + {smooth}) / (all_of + {smooth})).mean()",
    ]
