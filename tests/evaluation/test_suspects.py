"""Wrong labels that were planted are found, against the definition written plainly; shifts against torch.roll."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from netwright.data.batches import Batch
from netwright.evaluation.shifts import accuracy_interval, accuracy_under_shifts, cost_interval, shifted
from netwright.evaluation.suspects import suspects


def made(num_wrong: int) -> tuple[np.ndarray, np.ndarray, set[int]]:
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 400)
    logits = random.normal(size=(400, 4))
    logits[np.arange(400), truth] += 5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = random.choice(400, num_wrong, replace=False)
    targets = truth.copy()
    targets[wrong] = (targets[wrong] + random.integers(1, 4, num_wrong)) % 4
    return probabilities, targets, set(wrong.tolist())


def test_planted_wrong_labels_are_found() -> None:
    probabilities, targets, wrong = made(20)
    found = suspects(probabilities, targets)
    places = [each["place"] for each in found]
    assert len(wrong & set(places)) >= 18
    assert len(set(places) - wrong) <= 6
    assert set(places[:10]) <= wrong  # the most suspect first
    assert not suspects(probabilities[:0], targets[:0])


def test_equals_the_definition_written_plainly() -> None:
    probabilities, targets, _ = made(30)
    thresholds = [probabilities[targets == k, k].mean() for k in range(4)]
    wanted = set()
    for place in range(400):
        able = [k for k in range(4) if probabilities[place, k] >= thresholds[k]]
        if able and max(able, key=lambda k: probabilities[place, k]) != targets[place]:
            wanted.add(place)
    found = suspects(probabilities, targets)
    assert {each["place"] for each in found} == wanted
    own = [each["label_probability"] for each in found]
    assert own == sorted(own)


def test_a_class_without_images_is_no_threshold() -> None:
    probabilities, targets, _ = made(0)
    wide = np.column_stack([probabilities * 0.6, np.full(400, 0.4)])
    assert all(each["looks_like"] != 4 for each in suspects(wide, targets))


def test_shifted_is_a_roll_away_from_the_edges() -> None:
    images = torch.rand(2, 3, 9, 11)
    for down, right in ((0, 2), (0, -3), (4, 0), (-1, 0)):
        moved = shifted(images, down, right)
        rolled = torch.roll(images, (down, right), (2, 3))
        assert moved.shape == images.shape
        inside = (slice(None), slice(None), slice(4, -4), slice(3, -3))
        assert torch.equal(moved[inside], rolled[inside])
    assert torch.equal(shifted(images, 0, 2)[..., :2], images[..., :1].expand(-1, -1, -1, 2))  # the edge repeated


def test_what_looks_at_one_pixel_loses_and_what_looks_at_the_mean_does_not() -> None:
    random = np.random.default_rng(0)
    targets = torch.from_numpy(random.integers(0, 2, 64))
    images = torch.zeros(64, 1, 12, 12)
    images[:, :, 5, 5] = targets[:, None].float()
    batches = [Batch(images[:40], targets[:40], torch.arange(40)), Batch(images[40:], targets[40:], torch.arange(24))]
    by_place = accuracy_under_shifts(lambda x: (x[:, 0, 5, 5] > 0.5).long(), lambda: batches)
    by_sum = accuracy_under_shifts(lambda x: (x.sum(dim=(1, 2, 3)) > 0.5).long(), lambda: batches)
    assert [row["accuracy"] for row in by_sum["shifts"]] == [1.0] * 5
    share_of_zeros = float((targets == 0).float().mean())
    assert [row["accuracy"] for row in by_place["shifts"]] == [1.0] + [share_of_zeros] * 4
    assert by_place["lost"] == 1 - share_of_zeros
    assert all(row["num_samples"] == 64 for row in by_place["shifts"])


def test_moved_images_have_wilsons_interval() -> None:
    for hits in (270, 265, 3, 0):
        rights = np.repeat([1.0, 0.0], [hits, 270 - hits])
        ends = binomtest(hits, 270).proportion_ci(method="wilson")
        assert accuracy_interval(rights) == pytest.approx([ends.low, ends.high])
    # four directions that agree are one image; four that don't say more
    quarters = np.random.default_rng(0).binomial(4, 0.8, 400) / 4
    low, high = accuracy_interval(quarters)
    normal = 1.96 * quarters.std() / 20
    assert [low, high] == pytest.approx([quarters.mean() - normal, quarters.mean() + normal], abs=0.002)


def test_no_cost_seen_is_no_certainty() -> None:
    high = binomtest(0, 90).proportion_ci(method="wilson").high
    assert cost_interval(np.zeros(90)) == pytest.approx([-high, high])
