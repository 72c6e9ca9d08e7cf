"""What `netwright runs compare` says of two runs on the same images."""

from collections.abc import Mapping, Sequence
from typing import Any

from netwright.cli.text import number


def fair(compared: Mapping[str, Any]) -> str:
    """Whether one is better than the other, image by image, or why that can't be said."""
    found, split = compared.get("comparison"), compared["split"]
    if found is None:
        return f"not compared image by image: {compared['not_compared']}"
    names = [run["name"] for run in compared["runs"]]
    if "mcnemar" not in found:
        return _by_swaps(found, split, names)
    low, high = (100 * end for end in found["accuracy_difference_interval"])
    lines = [
        f"on the same {found['num_samples']:,} {split} images {names[1]} has {100 * found['accuracy_difference']:+.2f} "
        f"points of accuracy ({low:+.2f} to {high:+.2f})",
        f"only {names[0]} is right on {found['only_first_right']}, only {names[1]} on {found['only_second_right']}; "
        f"McNemar p = {found['mcnemar']:.2g}",
    ]
    if not found["distinguishable"]:
        return "\n".join([*lines, "not distinguishable: these images can't tell which is better"])
    better = names[int(found["accuracy_difference"] > 0)]
    return "\n".join([*lines, f"{better} is better; another seed of either may differ: netwright train --seeds 5"])


def _by_swaps(found: Mapping[str, Any], split: str, names: Sequence[str]) -> str:
    """The same of networks that give masks, whose larger Dice is better, or numbers, whose larger error is worse."""
    masks = "mean_dice_difference" in found
    pairs = [("mean_dice", "of mean Dice"), ("accuracy", "of right pixels")] if masks else _ERRORS
    said = "; ".join(_difference(found, key, words) for key, words in pairs)
    lines = [
        f"on the same {found['num_samples']:,} {split} {'images' if masks else 'samples'} {names[1]} has {said}",
        f"{names[0]} is nearer on {found['only_first_better']:,}, {names[1]} on {found['only_second_better']:,}; with "
        f"their answers swapped at random so large a difference has p = {found['probability']:.2g}",
    ]
    if not found["distinguishable"]:
        return "\n".join([*lines, "not distinguishable: these can't tell which is better"])
    better = names[int(found["mean_dice_difference"] > 0 if masks else found["mae_difference"] < 0)]
    return "\n".join([*lines, f"{better} is better; another seed of either may differ: netwright train --seeds 5"])


_ERRORS = [("mae", "of mean absolute error"), ("rmse", "of RMSE")]


def _difference(found: Mapping[str, Any], key: str, words: str) -> str:
    low, high = (_signed(end) for end in found[f"{key}_difference_interval"])
    return f"{_signed(found[f'{key}_difference'])} {words} ({low} to {high})"


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "") + number(value)
