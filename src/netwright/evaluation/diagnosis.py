"""What a history says: learns it, has it learnt enough, does it learn train by heart; in plain words, with what to try.

The rules are ours, and simple: each names the numbers that it goes by. Training numbers are sums over the epoch while
the weights changed, under augmentation and dropout, so early in a run they lag behind validation."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
LEARNT_NOTHING = 0.02  # a train loss that fell by less than 2 % of where it began
KNOWS_TRAIN = 0.1  # a train accuracy so far above guessing has been learnt, now or before
STILL_FALLING = 0.03  # a loss that fell by more than 3 % over the last fifth of the epochs
GAP_POINTS = 0.03  # a gap between train and val accuracy of less than 3 points is not spoken of
TURNED = 0.05  # a val loss more than 5 % above its least has turned
NOT_SOLVED = 0.97  # under this accuracy, on train and val, a small gap means underfitting
WIDE = 1.2  # a val error more than so many times train's is spoken of
LEAST_EPOCHS = 3  # before, nothing can be said to have stopped


@dataclass(frozen=True)
class Measure:
    """The number that is compared between train and val: its name in the history and in words, and how it is shown."""

    name: str
    words: str
    shown: Callable[[float], str]

    def of(self, record: Record, split: str) -> float:
        return float(record[f"{split}_{self.name}"])

    def said(self, record: Record, split: str) -> str:
        return self.shown(self.of(record, split))


ACCURACY = Measure("accuracy", "accuracy", lambda fraction: f"{100 * fraction:.1f} %")
UNKNOWN = {"verdict": "unknown", "sentence": "Without a val split nothing can be said of over- or underfitting."}


def diagnose(
    history: Sequence[Record],
    *,
    num_val: int,
    best_epoch: int,
    majority: float,
    stopped_by: str = "epochs",
    augmented: bool = False,
) -> dict[str, Any]:
    """Return `verdict`, `sentence`, `advice` and what they rest on, of a history with one record an epoch.

    `verdict`: not_learning, overfitting, too_short, underfitting, fine, or unknown without val. `num_val` is the number
    of val images, `majority` the accuracy of always saying train's most frequent class. `gap_opened_epoch` is the first
    epoch from which on train accuracy stays ahead of val by more than 3 points and two standard errors. `augmented`:
    train's numbers are of changed images, so that they say nothing of how well it knows train."""
    val = [record for record in history if "val_accuracy" in record]
    if not val:
        return UNKNOWN
    right = ACCURACY.of(val[-1], "val")
    error = math.sqrt(max(right * (1 - right), 0.25 / num_val) / num_val)
    found = found_in(val, ACCURACY, error)
    if _learnt_nothing(val, majority, error):
        begun = falling(val, "train_loss") and falling(val, "val_loss") and not _annealed(val)
        return (_too_short(val) if begun and stopped_by in ("epochs", "time") else _not_learning(val)) | found
    return diagnosed(val, best_epoch, ACCURACY, stopped_by, augmented, found) | found


def diagnose_numbers(history: Sequence[Record], *, best_epoch: int, stopped_by: str = "epochs") -> dict[str, Any]:
    """Return the same of a regression, whose records have `rmse`: it is the val error that is compared with train's."""
    val = [record for record in history if "val_rmse" in record]
    if not val:
        return UNKNOWN
    last, best = val[-1], next((record for record in val if record["epoch"] == best_epoch), val[-1])
    lowest = min(val, key=lambda record: float(record["val_loss"]))
    found = {"gap": last["val_rmse"] - last["train_rmse"], "lowest_val_loss_epoch": lowest["epoch"]}
    losses = [record["train_loss"] for record in val]
    if len(losses) > 1 and min(losses[1:]) > (1 - LEARNT_NOTHING) * losses[0]:
        first, end = f"{losses[0]:.3g}", f"{losses[-1]:.3g}"
        told = f"It does not learn: the train loss went from {first} to {end}"
        return said("not_learning", told, "another lr first: netwright lr-find DATA") | found
    turned = last["val_loss"] > (1 + TURNED) * lowest["val_loss"]
    if last["val_rmse"] > WIDE * last["train_rmse"] and (turned or not falling(val, "val_loss")):
        told = f"Overfitting: the error is {last['train_rmse']:.4g} on train and {last['val_rmse']:.4g} on val"
        told += f"; the val loss rises since epoch {lowest['epoch']}" if turned else ""
        return said("overfitting", told, "more data, dropout or weight decay, or a smaller network") | found
    if stopped_by in ("epochs", "time") and falling(val, "val_loss") and not _annealed(val):
        return _too_short(val) | found
    errors = f"the error is {best['train_rmse']:.4g} on train and {best['val_rmse']:.4g} on val"
    return said("fine", f"No sign of overfitting: {errors}", "") | found


def found_in(val: Sequence[Record], measure: Measure, error: float) -> dict[str, Any]:
    """Return what a diagnosis rests on; `error` is the standard error of val's number at the end."""
    return {
        "gap": measure.of(val[-1], "train") - measure.of(val[-1], "val"),
        "gap_opened_epoch": _gap_opened(val, measure, max(GAP_POINTS, 2 * error)),
        "lowest_val_loss_epoch": min(val, key=lambda record: float(record["val_loss"]))["epoch"],
    }


def diagnosed(
    val: Sequence[Record],
    best_epoch: int,
    measure: Measure,
    stopped_by: str,
    augmented: bool,
    found: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the verdict on a run that learns, in words."""
    if "penalty" in val[-1]:
        return _along_path(val, best_epoch, measure)
    last, best = val[-1], next((record for record in val if record["epoch"] == best_epoch), val[-1])
    turned = last["val_loss"] > (1 + TURNED) * min(record["val_loss"] for record in val)
    if found["gap_opened_epoch"] is not None and (turned or not falling(val, "val_loss")):
        return _overfitting(last, best, measure, found, turned, augmented)
    unsolved = max(measure.of(last, "train"), measure.of(last, "val")) < NOT_SOLVED
    learning = falling(val, "val_loss") or (unsolved and _at_its_least(val) and falling(val, "train_loss"))
    if stopped_by in ("epochs", "time") and learning and not _annealed(val):
        return _too_short(val)
    stopped = len(val) >= LEAST_EPOCHS and not falling(val, "train_loss")
    if found["gap_opened_epoch"] is None and unsolved and stopped:
        return _no_telling(last, best, measure) if augmented else _underfitting(last, measure)
    train, val_best = measure.said(last, "train"), measure.said(best, "val")
    return said("fine", f"No sign of over- or underfitting: train {measure.words} {train}, val {val_best}", "")


def _along_path(val: Sequence[Record], best_epoch: int, measure: Measure) -> dict[str, Any]:
    """Return the verdict on a head's optima for falling penalties, one of which val chose."""
    last, best = val[-1], next((record for record in val if record["epoch"] == best_epoch), val[-1])
    if falling(val, "val_loss"):
        return said(
            "too_short",
            f"Too short: the val loss was least at the weakest penalty ({last['penalty']:.2g}), and still falling",
            f"more epochs, such as {2 * int(last['epoch'])}: each has a third of the penalty before it",
        )
    chosen = f"a penalty of {best['penalty']:.2g} (epoch {best['epoch']} of {last['epoch']})"
    numbers = f"train {measure.words} {measure.said(best, 'train')}, val {measure.said(best, 'val')}"
    return said("fine", f"Val chose {chosen}: {numbers} there; weaker and stronger ones are no better on val", "")


def _not_learning(val: Sequence[Record]) -> dict[str, Any]:
    return said(
        "not_learning",
        f"It does not learn: the train loss {went(val)}, the accuracy is that of guessing",
        "a lower lr first (a tenth), then a look at the labels: netwright data DATA --grid FILE.png",
    )


def went(val: Sequence[Record]) -> str:
    first, last = val[0]["train_loss"], val[-1]["train_loss"]
    return f"went from {first:.3g} to {last:.3g}" if len(val) > 1 else f"is {last:.3g} after one epoch"


def _overfitting(
    last: Record, best: Record, measure: Measure, found: Mapping[str, Any], turned: bool, augmented: bool
) -> dict[str, Any]:
    numbers = f"train {measure.words} is {measure.said(last, 'train')} and val {measure.said(last, 'val')}"
    told = f"Overfitting: {numbers}, apart since epoch {found['gap_opened_epoch']}"
    if turned:
        told += f"; the val loss rises since epoch {found['lowest_val_loss_epoch']} ({best['val_loss']:.3g} there, "
        told += f"{last['val_loss']:.3g} at the end)"
    first = "more images" if augmented else "augmentation, more images"
    return said("overfitting", told, f"{first}, dropout or weight decay, or a network with fewer parameters")


def _too_short(val: Sequence[Record]) -> dict[str, Any]:
    return said(
        "too_short",
        f"Too short: the val loss was still falling when it ended ({_fifth_ago(val)['val_loss']:.3g} in epoch "
        f"{_fifth_ago(val)['epoch']}, {val[-1]['val_loss']:.3g} in epoch {val[-1]['epoch']})",
        f"more epochs, such as {2 * int(val[-1]['epoch'])}, or a higher lr",
    )


def _underfitting(last: Record, measure: Measure) -> dict[str, Any]:
    return said(
        "underfitting",
        f"Underfitting: it knows train ({measure.said(last, 'train')}) no better than val "
        f"({measure.said(last, 'val')}), and has stopped getting better",
        "a larger network, a higher lr, or less augmentation, dropout and weight decay",
    )


def _no_telling(last: Record, best: Record, measure: Measure) -> dict[str, Any]:
    return said(
        "fine",
        f"No sign of overfitting: train {measure.words} {measure.said(last, 'train')} on augmented images, val "
        f"{measure.said(best, 'val')}; whether it underfits, numbers of augmented images can't tell",
        "",
    )


def said(verdict: str, sentence: str, advice: str) -> dict[str, Any]:
    return {"verdict": verdict, "sentence": f"{sentence}.", "advice": f"Try {advice}." if advice else ""}


def _gap_opened(val: Sequence[Record], measure: Measure, enough: float) -> int | None:
    """Return the first epoch from which on the gap stays wide; None when it is not at the end."""
    opened = None
    for record in reversed(val):
        if measure.of(record, "train") - measure.of(record, "val") <= enough:
            break
        opened = int(record["epoch"])
    return opened


def _fifth_ago(val: Sequence[Record]) -> Record:
    """Return the record a fifth of the epochs before the last, at least one."""
    return val[max(0, len(val) - 1 - max(1, len(val) // 5))]


def falling(val: Sequence[Record], name: str) -> bool:
    """Say whether a loss fell by more than 3 % over the last fifth of the epochs, and is at its least."""
    if len(val) < 2:
        return False
    last, before = val[-1][name], _fifth_ago(val)[name]
    return bool(last < (1 - STILL_FALLING) * before and last <= min(record[name] for record in val))


def _at_its_least(val: Sequence[Record]) -> bool:
    """Say whether the val loss was never lower than at the end."""
    return len(val) > 1 and bool(val[-1]["val_loss"] < min(record["val_loss"] for record in val[:-1]))


def _annealed(val: Sequence[Record]) -> bool:
    """Say whether a schedule had brought the lr down to a tenth: then falling at the end is what it is for."""
    rates = [record["lr"] for record in val if "lr" in record]
    return bool(rates) and rates[-1] <= 0.1 * max(rates)


def _learnt_nothing(val: Sequence[Record], majority: float, error: float) -> bool:
    """Say whether the answers are no better than always the same one, on val, and train is not known either.

    One pretrained on the same images knows train, and its loss stays; on few val images that looks like guessing."""
    return no_better_than(val, ACCURACY, majority, error) or (
        len(val) == 1
        and val[-1]["val_accuracy"] <= majority + 2 * error
        and val[-1]["train_accuracy"] <= majority + KNOWS_TRAIN
    )


def no_better_than(val: Sequence[Record], measure: Measure, majority: float, error: float) -> bool:
    """Say whether val's number never was better than that of one answer for all, train's is hardly better, and it
    stays so: the train loss does not fall, or train's number is the same."""
    losses, train = [record["train_loss"] for record in val], measure.of(val[-1], "train")
    guessing = max(measure.of(record, "val") for record in val) <= majority + 2 * error
    stayed = len(losses) > 1 and min(losses[1:]) > (1 - LEARNT_NOTHING) * losses[0]
    return guessing and train <= majority + KNOWS_TRAIN and (stayed or train <= majority + 0.02)
