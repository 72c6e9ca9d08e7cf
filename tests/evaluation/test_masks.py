"""The numbers of masks against scikit-learn, their intervals by coverage, the task's counts."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, precision_score, recall_score

from netwright.config.masks import IGNORED
from netwright.evaluation.masks import image_scores, majority, mask_metrics
from netwright.tasks.segmentation import Segmentation

NAMES = ("sky", "road", "car")


def judged(num: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (N, 3, 9, 8) that are better than chance, and masks with ignored pixels."""
    torch.manual_seed(3)
    targets = torch.randint(0, 3, (num, 9, 8), dtype=torch.uint8)
    outputs = torch.randn(num, 3, 9, 8)
    outputs.scatter_add_(1, targets.long().unsqueeze(1), torch.ones(num, 1, 9, 8))
    targets[torch.rand(num, 9, 8) < 0.1] = IGNORED
    return outputs, targets


def test_every_number_is_scikit_learns() -> None:
    outputs, targets = judged()
    counts, pixels = Segmentation(NAMES, 3).keep(outputs, targets)
    valid = targets != IGNORED
    truth, said = targets[valid].numpy(), outputs.argmax(1)[valid].numpy()
    found = mask_metrics(counts.numpy(), NAMES, loss=0.5)
    assert pixels.tolist() == valid.sum(dim=(1, 2)).tolist()
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, said))
    assert found["mean_iou"] == pytest.approx(jaccard_score(truth, said, average="macro"))
    assert found["mean_dice"] == pytest.approx(f1_score(truth, said, average="macro"))
    for what, score in (
        ("iou", jaccard_score),
        ("dice", f1_score),
        ("precision", precision_score),
        ("recall", recall_score),
    ):
        assert [each[what] for each in found["per_class"]] == pytest.approx(list(score(truth, said, average=None)))
    assert found["num_pixels"] == len(truth)
    low, high = found["intervals"]["mean_dice"]
    assert low <= found["mean_dice"] <= high


def test_the_histories_numbers_are_those_of_all_batches_together() -> None:
    outputs, targets = judged()
    task = Segmentation(NAMES, 3)
    counts = sum(task.count(outputs[part], targets[part]) for part in (slice(0, 3), slice(3, 7)))
    numbers = task.numbers(counts.tolist(), 7)  # type: ignore[union-attr]
    found = mask_metrics(task.keep(outputs, targets)[0].numpy(), NAMES)
    assert numbers == pytest.approx({name: found[name] for name in ("mean_dice", "accuracy", "mean_iou")})
    assert tuple(numbers) == task.recorded


def test_one_output_is_the_second_of_two_classes() -> None:
    torch.manual_seed(1)
    logits, targets = torch.randn(3, 1, 6, 6), torch.randint(0, 2, (3, 6, 6), dtype=torch.uint8)
    one, two = Segmentation(("a", "b"), 1), Segmentation(("a", "b"), 2)
    pair = torch.cat([torch.zeros_like(logits), logits], dim=1)
    assert torch.equal(one.confusions(one.classes(logits), targets), two.confusions(two.classes(pair), targets))
    torch.testing.assert_close(one.answers(logits), two.answers(pair))


def test_a_class_that_is_nowhere_has_no_number_and_no_part_in_the_mean() -> None:
    counts = np.array([[[5, 1, 0], [2, 4, 0], [0, 0, 0]]] * 3)
    found = mask_metrics(counts, NAMES)
    assert found["per_class"][2]["iou"] is None
    assert found["mean_iou"] == pytest.approx((5 / 8 + 4 / 7) / 2)
    assert mask_metrics(np.zeros((2, 3, 3), np.int64), NAMES)["mean_dice"] is None
    assert mask_metrics(counts[:1], NAMES)["intervals"]["mean_dice"] is None  # of one image nothing is known of others


def test_the_score_of_an_image_is_the_f1_of_its_own_classes() -> None:
    outputs, targets = judged()
    scores = image_scores(Segmentation(NAMES, 3).keep(outputs, targets)[0].numpy())
    for place, score in enumerate(scores):
        valid = targets[place] != IGNORED
        truth, said = targets[place][valid], outputs[place].argmax(0)[valid]
        assert score == pytest.approx(f1_score(truth, said, average="macro"))


def test_the_majority_is_that_of_train() -> None:
    found = majority([10, 90, 5], [[6, 1, 0], [2, 4, 0], [1, 1, 5]], NAMES)
    targets = [0] * 7 + [1] * 6 + [2] * 7
    dice = f1_score(targets, [1] * 20, average="macro", zero_division=0)
    assert found == {"label": "road", "accuracy": 6 / 20, "mean_dice": pytest.approx(dice)}


def test_intervals_cover_the_truth_of_other_images() -> None:
    """Images differ, pixels of one image do not add knowledge: 100 sets of 40 images from one process."""
    random = np.random.default_rng(0)

    def images(num: int) -> np.ndarray:
        errors = random.beta(2, 8, num)  # each image has its own share of wrong pixels
        wrong = random.binomial(200, errors), random.binomial(100, errors)
        return np.stack([[[200 - a, a], [b, 100 - b]] for a, b in zip(*wrong, strict=True)])

    truth = mask_metrics(images(200_000), ("a", "b"))["mean_dice"]
    inside = 0
    for _ in range(100):
        low, high = mask_metrics(images(40), ("a", "b"))["intervals"]["mean_dice"]
        inside += low <= truth <= high
    assert 86 <= inside <= 100
