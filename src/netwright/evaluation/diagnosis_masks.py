"""What a history of masks says, by mean Dice: pixels are no samples, and right pixels of a rare class count little."""

from collections.abc import Sequence
from typing import Any

from netwright.evaluation.diagnosis import (
    LEAST_EPOCHS,
    UNKNOWN,
    Measure,
    Record,
    diagnosed,
    falling,
    found_in,
    no_better_than,
    said,
    went,
)

DICE = Measure("mean_dice", "mean Dice", lambda dice: f"{dice:.3f}")
TWO_SIDED = 1.96  # standard errors on each side of a 95 % interval


def diagnose_masks(
    history: Sequence[Record],
    *,
    interval: Sequence[float] | None,
    best_epoch: int,
    majority: float,
    stopped_by: str = "epochs",
    augmented: bool = False,
) -> dict[str, Any]:
    """Return what `diagnose` does, by mean Dice; its 95 % `interval` over val's images says how far chance goes.

    `majority` is the mean Dice of always saying the class of most pixels. The first epochs may be a few steps, after
    which batch norm's running numbers, by which val is judged, are not yet those of train: they are no sign."""
    val = [record for record in history if "val_mean_dice" in record]
    if not val:
        return UNKNOWN
    error = (interval[1] - interval[0]) / (2 * TWO_SIDED) if interval else 0.0
    found = found_in(val, DICE, error)
    early = len(val) < LEAST_EPOCHS
    if no_better_than(val, DICE, majority, error) and not early:
        return _one_class_everywhere(val, majority) | found
    one_class = max(DICE.of(record, "val") for record in val) <= majority + 2 * error
    learns, apart = falling(val, "val_loss"), found["gap_opened_epoch"] is not None
    if (early and apart and not learns) or (one_class and (early or learns or not apart)):
        return _too_early(val, majority if one_class else None) | found
    return diagnosed(val, best_epoch, DICE, stopped_by, augmented, found) | found


def _one_class_everywhere(val: Sequence[Record], majority: float) -> dict[str, Any]:
    return said(
        "not_learning",
        f"It does not learn: the train loss {went(val)}, and mean Dice is that of one class everywhere "
        f"({majority:.3f}; train {DICE.said(val[-1], 'train')}, val {DICE.said(val[-1], 'val')})",
        "--criterion cross_entropy_dice or --class-weights balanced where one class is rare, or another lr: "
        "netwright lr-find DATA",
    )


def _too_early(val: Sequence[Record], majority: float | None) -> dict[str, Any]:
    num = len(val)
    same = "" if majority is None else f", and one class everywhere has {majority:.3f}"
    return said(
        "too_short",
        f"Too short to tell: after {'1 epoch' if num == 1 else f'{num} epochs'} train mean Dice is "
        f"{DICE.said(val[-1], 'train')} and val {DICE.said(val[-1], 'val')}{same}",
        f"more epochs, such as {max(10, 2 * num)}",
    )
