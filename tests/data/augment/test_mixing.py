"""Mixup and cutmix: torchvision's for the same share, box and partner; pure functions of (seed, epoch, number)."""

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2

from netwright.config.augmentations import CutMix, Mixing, MixUp
from netwright.data.augment.mixing import Mixer, Shares, build_mixer, draw_boxes, draw_shares, mix_images, mix_targets
from netwright.runtime.randomness import uniforms

SIZE = (12, 17)


def batch(num: int = 6) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(num)
    return torch.randn(num, 3, *SIZE, generator=random), torch.randint(0, 4, (num,), generator=random)


def drawn(num: int, *parts: Mixing, size: tuple[int, int] = SIZE) -> Shares:
    return draw_shares(uniforms(0, "shares", 0, torch.arange(num), 5), parts, size)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_mixup_equals_torchvisions(memory_format: torch.memory_format) -> None:
    """torchvision has one share a batch and ours one a sample: a batch of it for every sample."""
    images, targets = batch()
    images, shares = images.contiguous(memory_format=memory_format), drawn(6, MixUp(alpha=1.0))
    mixed, mixed_targets = mix_images(images, shares), mix_targets(targets, shares.amounts, 4)
    theirs = v2.MixUp(num_classes=4)
    for i in range(6):
        parameters = {"lam": 1 - float(shares.amounts[i]), "labels": targets, "batch_size": 6}
        torch.testing.assert_close(mixed[i], theirs.transform(images, parameters)[i], rtol=0, atol=1e-6)
        torch.testing.assert_close(mixed_targets[i], theirs.transform(targets, parameters)[i], rtol=0, atol=1e-6)
    assert mixed.is_contiguous(memory_format=memory_format)


def test_cutmix_equals_torchvisions() -> None:
    images, targets = batch()
    shares = drawn(6, CutMix())
    mixed, mixed_targets = mix_images(images, shares), mix_targets(targets, shares.amounts, 4)
    theirs = v2.CutMix(num_classes=4)
    for i, (top, left, bottom, right) in enumerate(shares.boxes.tolist()):
        kept = 1 - (bottom - top) * (right - left) / (SIZE[0] * SIZE[1])
        parameters = {"box": (left, top, right, bottom), "lam_adjusted": kept, "labels": targets, "batch_size": 6}
        assert torch.equal(mixed[i], theirs.transform(images, parameters)[i])
        torch.testing.assert_close(mixed_targets[i], theirs.transform(targets, parameters)[i], rtol=0, atol=1e-6)
    assert (shares.amounts > 0).any()


def test_boxes_equal_torchvisions_for_the_same_share_and_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, (height, width) = v2.CutMix(num_classes=2), SIZE
    numbers = uniforms(0, "boxes", 0, torch.arange(60), 3)
    boxes = draw_boxes(numbers[:, :2], numbers[:, 2], SIZE)
    for place, (down, across, kept) in enumerate(numbers.tolist()):
        monkeypatch.setattr(theirs._dist, "sample", lambda shape, kept=kept: torch.tensor([kept]))
        middles = iter([torch.tensor([int(across * width)]), torch.tensor([int(down * height)])])
        monkeypatch.setattr(torch, "randint", lambda *arguments, middles=middles, **named: next(middles))
        box = theirs.make_params([torch.zeros(1, 3, *SIZE)])["box"]
        assert boxes[place].tolist() == [box[1], box[0], box[3], box[2]]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    kept = 1 - drawn(4000, MixUp(alpha=alpha)).amounts
    assert stats.kstest(kept.numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_each_sample_draws_one_of_the_parts_and_whether() -> None:
    shares = drawn(4000, MixUp(alpha=1.0, p=0.5), CutMix())
    assert 0.45 < float(shares.has_box.double().mean()) < 0.55
    in_mixup = shares.amounts[~shares.has_box]
    assert 0.45 < float((in_mixup == 0).double().mean()) < 0.55
    assert (shares.boxes[~shares.has_box] >= 0).all()
    assert float((shares.amounts[shares.has_box] == 0).double().mean()) < 0.1  # boxes without a pixel


def test_a_share_of_nothing_leaves_images_and_targets() -> None:
    images, targets = batch()
    shares = drawn(6, MixUp(p=0.0), CutMix(p=0.0))
    assert torch.equal(mix_images(images, shares), images)
    assert torch.equal(mix_targets(targets, shares.amounts, 4).argmax(dim=1), targets)


def test_the_mixer_is_a_function_of_epoch_and_visits() -> None:
    mixer, (images, targets) = build_mixer((MixUp(), CutMix()), 3, 4), batch(32)
    assert isinstance(mixer, Mixer)
    visits, before = torch.arange(32) * 3, images.clone()
    first, again = mixer(images, targets, 2, visits), mixer(images, targets, 2, visits)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert torch.equal(images, before)
    torch.testing.assert_close(first[1].sum(dim=1), torch.ones(32))
    for other in (mixer(images, targets, 3, visits), Mixer(mixer.parts, 4, 4)(images, targets, 2, visits)):
        assert not torch.equal(other[1], first[1])
    # a sample's share is its own, and its partner the one before it: whatever else is in the batch
    some = mixer(images[4:9], targets[4:9], 2, visits[4:9])
    assert torch.equal(some[0][1:], first[0][5:9])
    assert torch.equal(some[1][1:], first[1][5:9])


def test_a_batch_of_one_meets_itself() -> None:
    images, targets = batch(1)
    mixed, shares = Mixer((CutMix(),), 0, 4)(images, targets, 1, torch.tensor([5]))
    assert torch.equal(mixed, images)
    assert shares[0, int(targets[0])] == 1


def test_nothing_to_mix_builds_none() -> None:
    assert build_mixer((), 0, 4) is None
