"""The criterion of a script for masks: over the pixels that have a class."""

from typing import Any

from netwright.config.optimization import BceDice, BceWithLogits, CrossEntropy, CrossEntropyDice, Dice, Focal
from netwright.config.recipe import Recipe
from netwright.deployment.eject.code import Raw, call
from netwright.errors import InputError


def criterion_code(recipe: Recipe, num_outputs: int, weighted: bool) -> list[str]:
    """Write torch's cross-entropy, one text, or the lines of a function of logits and masks.

    With one output there are two classes, and the cross-entropy of [0, output] is the binary one of the output.
    CLASS_WEIGHTS are there where it is `weighted`."""
    criterion = recipe.criterion
    some_ignored = bool(recipe.data.mask_ignore)
    keywords: dict[str, Any] = {"weight": Raw("CLASS_WEIGHTS")} if weighted else {}
    if isinstance(criterion, CrossEntropy) and criterion.label_smoothing:
        keywords["label_smoothing"] = criterion.label_smoothing
    if isinstance(criterion, CrossEntropy) and not some_ignored:  # torch's mean of no pixel is not a number
        keywords = {"ignore_index": Raw("IGNORED"), **keywords}
        return ["\n".join(call("nn.CrossEntropyLoss", **keywords).lines(0, "criterion = "))]
    arguments = (Raw("outputs"), Raw("targets"))
    cross = call("nn.functional.cross_entropy", *arguments, **keywords)
    match criterion:
        case CrossEntropy() | BceWithLogits():
            said, lines = "Cross-entropy of the pixels that have a class.", cross.lines(0, "return ")
        case Dice():
            said = "1 less the mean over classes of Dice's coefficient of a batch."
            lines = [*_dice(criterion.smooth), f"return 1 - {_mean('dice', weighted)}"]
        case CrossEntropyDice() | BceDice():
            said = "Cross-entropy of pixels and Dice's coefficient of classes in a batch, together."
            lines = [*cross.lines(0, "pixels = "), *_dice(criterion.smooth)]
            lines.append(f"return pixels + {criterion.dice_weight} * (1 - {_mean('dice', weighted)})")
        case Focal():
            said = "Focal loss: pixels that are easy count little."
            losses = call("nn.functional.cross_entropy", *arguments, reduction="none")
            lines = [*losses.lines(0, "losses = "), "doubt = (1 - torch.exp(-losses)).clamp(min=1e-12)"]
            of_class = "CLASS_WEIGHTS[targets] * " if weighted else ""
            lines.append(f"return ({of_class}doubt**{criterion.gamma} * losses).mean()")
        case _:
            raise InputError("the criterion is your own, any code, which eject can't write")
    kept = ["kept = targets != IGNORED"]
    kept += ["outputs, targets = outputs.movedim(1, -1)[kept], targets[kept]  # (pixels, classes)"]
    kept += ["if not len(targets):", "    return outputs.sum()  # 0: there is nothing to learn"] if some_ignored else []
    kept += ["outputs = nn.functional.pad(outputs, (1, 0))  # of two classes"] if num_outputs == 1 else []
    inner = [f'"""{said}"""', *kept, *lines]
    return ["def criterion(outputs, targets):", *(f"    {line}" for line in inner)]


def _mean(what: str, weighted: bool) -> str:
    return f"({what} * CLASS_WEIGHTS).sum() / CLASS_WEIGHTS.sum()" if weighted else f"{what}.mean()"


def _dice(smooth: float) -> list[str]:
    return [
        "scores, ones = outputs.softmax(dim=1), nn.functional.one_hot(targets, len(CLASSES))",
        f"dice = (2 * (scores * ones).sum(0) + {smooth}) / ((scores + ones).sum(0) + {smooth})",
    ]
