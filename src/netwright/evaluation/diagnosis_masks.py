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
    guessing = no_better_than(val, DICE, majority, error)
    early = len(val) < LEAST_EPOCHS
    if early and (guessing or found["gap_opened_epoch"] is not None) and not falling(val, "val_loss"):
        return _too_early(val) | found
    if guessing and not early:
        return _one_class_everywhere(val, majority) | found
    return diagnosed(val, best_epoch, DICE, stopped_by, augmented, found) | found


def _one_class_everywhere(val: Sequence[Record], majority: float) -> dict[str, Any]:
    return said(
        "not_learning",
        f"It does not learn: the train loss {went(val)}, and mean Dice is that of one class everywhere "
        f"({majority:.3f}; train {DICE.said(val[-1], 'train')}, val {DICE.said(val[-1], 'val')})",
        "--criterion cross_entropy_dice or --class-weights balanced where one class is rare, or another lr: "
        "netwright lr-find DATA",
    )


def _too_early(val: Sequence[Record]) -> dict[str, Any]:
    epochs = "1 epoch" if len(val) == 1 else f"{len(val)} epochs"
    return said(
        "too_short",
        f"Too short to tell: after {epochs} train mean Dice is {DICE.said(val[-1], 'train')} and val "
        f"{DICE.said(val[-1], 'val')}",
        "10 epochs or more",
    )
