"""Histories whose diagnosis a teacher would agree with."""

import math
from typing import Any

import pytest

from netwright.evaluation.diagnosis import diagnose
from netwright.evaluation.diagnosis_masks import diagnose_masks

Curve = list[float]


def history(
    train_loss: Curve, val_loss: Curve, train: Curve, val: Curve, lr: Curve | None = None
) -> list[dict[str, Any]]:
    rates = lr or [0.001] * len(train_loss)
    columns = zip(train_loss, val_loss, train, val, rates, strict=True)
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "lr")
    return [{"epoch": epoch, **dict(zip(names, row, strict=True))} for epoch, row in enumerate(columns, 1)]


def verdict(records: list[dict[str, Any]], num_val: int = 2000, majority: float = 0.5, **others: Any) -> dict[str, Any]:
    best = min(records, key=lambda record: record["val_loss"])["epoch"]
    return diagnose(records, num_val=num_val, best_epoch=best, majority=majority, **others)


def test_the_classic_mlp_at_80_percent_overfits() -> None:
    """Airplanes and birds: the train loss goes to nothing, val stays at 80 % from epoch 20 on and its loss rises."""
    epochs = range(1, 101)
    train_loss = [0.6 * math.exp(-epoch / 25) + 0.001 for epoch in epochs]
    val_loss = [0.55 * math.exp(-epoch / 12) + 0.42 + 0.012 * max(0, epoch - 20) for epoch in epochs]
    train = [1 - 0.35 * math.exp(-epoch / 22) for epoch in epochs]
    val = [0.805 - 0.15 * math.exp(-epoch / 8) for epoch in epochs]
    found = verdict(history(train_loss, val_loss, train, val))
    assert found["verdict"] == "overfitting"
    opened = next(epoch for epoch in epochs if train[epoch - 1] - val[epoch - 1] > 0.03)
    assert found["gap_opened_epoch"] == opened
    assert found["lowest_val_loss_epoch"] == min(epochs, key=lambda epoch: val_loss[epoch - 1])
    assert f"apart since epoch {opened}" in found["sentence"] and "augmentation" in found["advice"]
    advice = verdict(history(train_loss, val_loss, train, val), augmented=True)["advice"]
    assert "augmentation" not in advice and "more images" in advice  # it has that already


def path(train: Curve, val: Curve, val_loss: Curve) -> list[dict[str, Any]]:
    """A head's optima for falling penalties."""
    records = history([loss / 4 for loss in val_loss], val_loss, train, val)
    return [
        {name: value for name, value in record.items() if name != "lr"} | {"penalty": 10 ** (-place / 2)}
        for place, record in enumerate(records)
    ]


def test_a_path_of_penalties_is_not_overfitting_where_val_chose() -> None:
    found = verdict(path([0.984, 1, 1, 1, 1], [0.908, 0.922, 0.922, 0.915, 0.915], [0.294, 0.270, 0.269, 0.286, 0.312]))
    assert found["verdict"] == "fine" and not found["advice"]
    assert "penalty of 0.1 (epoch 3 of 5)" in found["sentence"]
    assert "train accuracy 100.0 %, val 92.2 %" in found["sentence"]


def test_a_path_whose_weakest_penalty_is_best_is_too_short() -> None:
    found = verdict(path([0.7, 0.8, 0.85], [0.6, 0.7, 0.75], [1.0, 0.8, 0.7]))
    assert found["verdict"] == "too_short"
    assert "the weakest penalty (0.1)" in found["sentence"] and "more epochs, such as 6" in found["advice"]
    assert "lr" not in found["advice"]


def test_a_linear_model_that_has_stopped_underfits() -> None:
    loss = [1.2 * math.exp(-epoch) + 1.75 for epoch in range(20)]
    accuracy = [0.39 - 0.2 * math.exp(-epoch) for epoch in range(20)]
    found = verdict(history(loss, [x + 0.02 for x in loss], accuracy, [x - 0.01 for x in accuracy]), majority=0.1)
    assert found["verdict"] == "underfitting"
    assert "larger network" in found["advice"]


def test_numbers_of_augmented_images_do_not_show_underfitting() -> None:
    """A U-Net of membranes: 91.5 % of the pixels of mirrored cuts, 91.8 % of val's, as good as it may get."""
    loss = [0.5 * math.exp(-epoch) + 0.2 for epoch in range(20)]
    accuracy = [0.915 - 0.2 * math.exp(-epoch) for epoch in range(20)]
    records = history(loss, [x - 0.01 for x in loss], accuracy, [x + 0.003 for x in accuracy])
    assert verdict(records)["verdict"] == "underfitting"
    found = verdict(records, augmented=True)
    assert (found["verdict"], found["advice"]) == ("fine", "")
    assert "can't tell" in found["sentence"]


@pytest.mark.parametrize("epochs", [1, 2])
def test_one_or_two_epochs_do_not_show_underfitting(epochs: int) -> None:
    """Numbers of train are of the epoch while it learnt: one epoch of mnist-fast has 94.7 % there and 99.0 % on val."""
    records = history([0.21] * epochs, [0.03] * epochs, [0.947] * epochs, [0.99] * epochs)
    found = verdict(records, majority=0.11)
    assert found["verdict"] == "fine" and "No sign" in found["sentence"]


def test_good_answers_on_val_are_no_underfitting() -> None:
    """Strong augmentation keeps train accuracy low."""
    assert verdict(history([0.5] * 9, [0.05] * 9, [0.85] * 9, [0.985] * 9), majority=0.1)["verdict"] == "fine"


def test_a_run_that_was_still_getting_better_is_too_short() -> None:
    loss = [2.3 - 0.2 * epoch for epoch in range(6)]
    accuracy = [0.15 + 0.1 * epoch for epoch in range(6)]
    records = history(loss, loss, accuracy, accuracy)
    found = verdict(records, majority=0.1)
    assert found["verdict"] == "too_short" and "12" in found["advice"]
    annealed = history(loss, loss, accuracy, accuracy, [1e-3, 8e-4, 5e-4, 3e-4, 1e-4, 1e-6])
    assert verdict(annealed, majority=0.1)["verdict"] != "too_short"
    assert verdict(records, majority=0.1, stopped_by="patience")["verdict"] != "too_short"


@pytest.mark.parametrize("loss", [[2.31, 2.35, 2.32, 2.33], [2.3, 2.303, 2.302, 2.303], [9.0]])
def test_guessing_is_not_learning(loss: Curve) -> None:
    accuracy = [0.1] * len(loss)
    found = verdict(history(loss, loss, accuracy, accuracy), majority=0.1)
    assert found["verdict"] == "not_learning" and "lower lr" in found["advice"]


def test_losses_that_fall_from_guessing_are_too_short() -> None:
    """Three epochs of two steps of a new head on a frozen backbone: a lower lr would be the wrong advice."""
    records = history([3.52, 3.32, 3.03], [3.1, 2.97, 2.87], [0.243, 0.257, 0.271], [0.267, 0.2, 0.2])
    found = verdict(records, num_val=15, majority=0.6)
    assert found["verdict"] == "too_short" and "more epochs, such as 6, or a higher lr" in found["advice"]


@pytest.mark.parametrize("epochs", [1, 3])
def test_what_knows_train_from_before_has_learnt(epochs: int) -> None:
    """Pretrained on the same images, and 12 val images: guessing can't be told from 67 %, but train is known."""
    records = history([0.156] * epochs, [1.09] * epochs, [1.0] * epochs, [0.667] * epochs)
    assert verdict(records, num_val=12)["verdict"] == "overfitting"


def test_one_epoch_has_gone_nowhere() -> None:
    found = verdict(history([0.702], [0.68], [0.49], [0.5]))
    assert found["verdict"] == "not_learning"
    assert "is 0.702 after one epoch" in found["sentence"]


def test_a_good_run_is_fine() -> None:
    loss = [0.5, 0.1, 0.05, 0.04, 0.04, 0.04]
    accuracy = [0.9, 0.97, 0.985, 0.99, 0.99, 0.99]
    assert verdict(history(loss, loss, accuracy, accuracy), majority=0.1)["verdict"] == "fine"


def test_a_gap_within_the_noise_of_a_small_val_split_is_none() -> None:
    train, val = [0.9, 0.96, 0.97, 0.97], [0.9, 0.93, 0.93, 0.93]
    loss = [0.4, 0.2, 0.2, 0.2]
    small = verdict(history(loss, loss, train, val), num_val=60)
    assert small["gap_opened_epoch"] is None
    assert verdict(history(loss, loss, train, val), num_val=10_000)["gap_opened_epoch"] == 3


def test_without_val_nothing_is_said() -> None:
    records = [{"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5}]
    assert diagnose(records, num_val=0, best_epoch=1, majority=0.0)["verdict"] == "unknown"


def test_a_small_network_that_still_learns_is_too_short() -> None:
    """63 % of ants and bees after 6 epochs: train's loss falls by 6 %, val's by 1 %, and it is at its least."""
    train_loss, val_loss = [0.690, 0.671, 0.636, 0.605, 0.588, 0.551], [0.667, 0.674, 0.654, 0.653, 0.645, 0.636]
    train, val = [0.51, 0.58, 0.67, 0.67, 0.70, 0.68], [0.54, 0.59, 0.63, 0.62, 0.61, 0.63]
    found = verdict(history(train_loss, val_loss, train, val), num_val=153, majority=0.46)
    assert found["verdict"] == "too_short"
    assert "(0.645 in epoch 5, 0.636 in epoch 6)" in found["sentence"]
    turned = history(train_loss, [*val_loss[:5], 0.65], train, val)
    assert verdict(turned, num_val=153, majority=0.46)["verdict"] == "fine"


def masks(rows: list[tuple[float, float, float, float]], **others: Any) -> dict[str, Any]:
    """Diagnose epochs of (train loss, val loss, train mean Dice, val mean Dice) of masks, 78 % of whose pixels are of
    one class: always that class has a mean Dice of 0.438. Right pixels stand beside it, which say less."""
    names = ("train_loss", "val_loss", "train_mean_dice", "val_mean_dice")
    records = [
        {
            "epoch": epoch,
            "lr": 0.001,
            "train_accuracy": 0.78,
            "val_accuracy": 0.78,
            **dict(zip(names, row, strict=True)),
        }
        for epoch, row in enumerate(rows, 1)
    ]
    best = min(records, key=lambda record: record["val_loss"])["epoch"]
    given: dict[str, Any] = {"interval": [0.42, 0.5], "majority": 0.438, "best_epoch": best}
    return diagnose_masks(records, **given | others)


def test_a_first_epoch_of_masks_is_no_sign_of_anything() -> None:
    """Membranes after 3 steps: train has 0.69, and val, judged by batch norm's first running numbers, one class."""
    found = masks([(0.548, 0.629, 0.689, 0.438)])
    assert found["verdict"] == "too_short"
    assert "after 1 epoch train mean Dice is 0.689 and val 0.438" in found["sentence"]
    assert "such as 10" in found["advice"]


def test_masks_that_still_get_better_are_too_short() -> None:
    found = masks([(0.548, 0.629, 0.689, 0.438), (0.469, 0.602, 0.773, 0.552)])
    assert found["verdict"] == "too_short" and "(0.629 in epoch 1, 0.602 in epoch 2)" in found["sentence"]


def test_one_class_everywhere_is_not_learning_though_most_pixels_are_right() -> None:
    """The loss falls as the network learns how frequent the classes are, and no more."""
    found = masks([(0.7 - 0.03 * epoch, 0.69 - 0.03 * epoch, 0.45, 0.438) for epoch in range(6)])
    assert found["verdict"] == "not_learning"
    assert "one class everywhere (0.438; train 0.450, val 0.438)" in found["sentence"]
    assert "cross_entropy_dice" in found["advice"]


def test_val_of_one_class_everywhere_is_never_fine() -> None:
    """The loss falls, train is a little better than one class, and the lr has come down to nothing."""
    rows = [(0.530, 0.592, 0.437, 0.438), (0.456, 0.569, 0.459, 0.438), (0.431, 0.526, 0.508, 0.438)]
    found = masks(rows, interval=[0.432, 0.442])
    assert found["verdict"] == "too_short"
    assert "train mean Dice is 0.508 and val 0.438, and one class everywhere has 0.438" in found["sentence"]


def test_masks_that_are_known_by_heart_overfit() -> None:
    found = masks([(0.5, 0.5, 0.6, 0.6), (0.3, 0.4, 0.8, 0.75), (0.1, 0.45, 0.95, 0.76), (0.05, 0.6, 0.98, 0.75)])
    assert found["verdict"] == "overfitting"
    assert "train mean Dice is 0.980 and val 0.750, apart since epoch 2" in found["sentence"]
    wide = masks([(0.5, 0.5, 0.8, 0.7)] * 4, interval=[0.5, 0.9])
    assert wide["gap_opened_epoch"] is None  # two standard errors over few images are 0.2


def test_good_masks_are_fine_and_augmented_ones_do_not_show_underfitting() -> None:
    rows = [(0.3, 0.3, 0.8, 0.8), *[(0.2, 0.2, 0.87, 0.878)] * 6]
    assert masks(rows)["verdict"] == "underfitting"
    found = masks(rows, augmented=True)
    assert found["verdict"] == "fine" and "mean Dice 0.870 on augmented images" in found["sentence"]
    assert masks([(0.1, 0.1, 0.98, 0.98)] * 4, interval=None)["verdict"] == "fine"


def test_masks_without_val_say_nothing() -> None:
    given: dict[str, Any] = {"interval": None, "best_epoch": 1, "majority": 0.0}
    assert diagnose_masks([{"epoch": 1, "train_mean_dice": 0.5}], **given)["verdict"] == "unknown"
