"""Balanced sampling: every class equally often, rounds without repetition, a pure function of (seed, epoch)."""

from collections import Counter

import numpy as np
import pytest
import torch

from netwright.config.recipe import build_recipe
from netwright.data.order import balanced, shuffled

CPU = torch.device("cpu")


def imbalanced(*counts: int) -> tuple[torch.Tensor, np.ndarray]:
    """Every other row of targets with so many samples a class, so that rows and places differ."""
    targets = np.repeat(np.arange(len(counts)), 2 * np.array(counts))
    return torch.arange(0, len(targets), 2), targets


@pytest.mark.parametrize("counts", [(50, 5, 11), (1, 90), (30, 0, 7), (3, 3, 3), (2, 1, 1, 1, 1, 1)])
def test_every_class_comes_equally_often(counts: tuple[int, ...]) -> None:
    rows, targets = imbalanced(*counts)
    num_classes = sum(count > 0 for count in counts)
    total: Counter[int] = Counter()
    for epoch in range(1, 8):
        visits = balanced(rows, targets, 0, epoch)
        assert len(visits) == len(rows)
        shown = visits % len(targets)
        assert set(shown.tolist()) <= set(rows.tolist())
        of_class = Counter(targets[shown.numpy()].tolist())
        shares = [of_class[number] for number, count in enumerate(counts) if count]
        assert max(shares) - min(shares) <= 1
        assert sum(shares) == len(rows)
        total.update(of_class)
    assert max(total.values()) - min(total.values()) <= 1 or num_classes == 1


def test_no_sample_comes_again_before_all_of_its_class_came() -> None:
    rows, targets = imbalanced(40, 6, 3)
    shown = torch.cat([balanced(rows, targets, 1, epoch) % len(targets) for epoch in range(1, 12)])
    for number, count in enumerate((40, 6, 3)):
        times = Counter(shown[torch.from_numpy(targets[shown.numpy()] == number)].tolist())
        assert len(times) == count
        assert max(times.values()) - min(times.values()) <= 1


def test_a_row_that_comes_again_in_an_epoch_is_another_visit() -> None:
    rows, targets = imbalanced(40, 2)
    visits = balanced(rows, targets, 0, 3)
    assert len(visits.unique()) == len(visits)
    times = visits // len(targets)
    for row in (visits % len(targets)).unique():
        of_row = times[visits % len(targets) == row].sort().values
        assert of_row.tolist() == list(range(len(of_row)))


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    rows, targets = imbalanced(20, 5)
    assert torch.equal(balanced(rows, targets, 4, 2), balanced(rows, targets, 4, 2))
    assert not torch.equal(balanced(rows, targets, 4, 2), balanced(rows, targets, 4, 3))
    assert not torch.equal(balanced(rows, targets, 4, 2), balanced(rows, targets, 5, 2))
    assert sorted(shuffled(rows, 0, 1).tolist()) == rows.tolist()


def test_batches_draw_classes_equally_and_transforms_anew() -> None:
    from netwright.data.prepare import prepare
    from netwright.data.sources import open_data
    from netwright.workflows.build import train_batches

    random = np.random.default_rng(0)
    targets = np.array([0] * 54 + [1] * 6)
    images = random.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
    mapping = {
        "training": {"sampling": "balanced", "batch_size": 20, "seed": 2},
        "augmentation": ["color_jitter"],
        "transform": {"normalize": "none"},
    }
    recipe = build_recipe(mapping)
    labelled = open_data(recipe.data, (images, targets))
    train = train_batches(recipe, prepare(labelled, {"train": np.arange(60)}, recipe), CPU)
    batches = list(train.epoch(1))
    shown = torch.cat([each.targets for each in batches])
    assert shown.bincount().tolist() == [30, 30]
    rows = torch.cat([each.rows for each in batches])
    assert torch.equal(shown, torch.from_numpy(targets)[rows])
    pictures = torch.cat([each.images for each in batches])[rows == rows[shown == 1][0]]
    assert len(pictures) == 5  # of six images, 30 times
    assert len(pictures.flatten(1).unique(dim=0)) == 5
    assert torch.equal(train.batch(1, 1).images, batches[1].images)
