"""The moving average against torch's own AveragedModel and a plain loop."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from netwright.config.sections import Training
from netwright.training.averaging import average, averaged
from netwright.training.state import Sums, TrainingState

DECAY = 0.3
STEPS = 40


def build() -> TrainingState:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    return TrainingState(model, optimizer, Sums(lambda outputs, targets: targets.sum()))


def steps(state: TrainingState) -> Iterator[int]:
    """Train a step a time, with numbers that make batch norm's statistics wander."""
    for step in range(1, STEPS + 1):
        torch.manual_seed(step)
        state.optimizer.zero_grad()
        state.model(torch.randn(8, 3) * step).square().sum().backward()
        nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
        state.optimizer.step()
        state.progress.step += 1
        yield step


@pytest.mark.parametrize("every", [1, 3])
def test_ema_equals_torchs(every: int) -> None:
    """With weights and buffers; torch's `multi_avg_fn` gets the same decay, which rises at first."""
    state, training = build(), Training(averaging="ema", averaging_decay=DECAY, averaging_every_steps=every)
    numbers = [0]

    def lerp(averages: list, present: list, num_averaged: object) -> None:
        for one, other in zip(averages, present, strict=True):
            one.copy_(one * decay() + other * (1 - decay()) if one.is_floating_point() else other)

    def decay() -> float:
        return min(DECAY, (1 + numbers[0]) / (10 + numbers[0]))

    reference = AveragedModel(state.model, multi_avg_fn=lerp, use_buffers=True)
    for step in steps(state):
        average(state, training)
        if step % every == 0:
            numbers[0] += 1
            reference.update_parameters(state.model)
    assert numbers[0] == STEPS // every
    expected = reference.module.state_dict()
    assert state.average.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(state.average[name], value)
    assert not torch.equal(state.average["0.weight"], state.model.state_dict()["0.weight"])
    assert not torch.equal(state.average["1.running_var"], state.model.state_dict()["1.running_var"])


def test_lookahead_goes_on_from_the_average() -> None:
    """Against a loop on a lone weight: SGD with gradient 1, every second step pulled back."""
    weight = nn.Linear(1, 1, bias=False)
    weight.weight.data.fill_(10.0)
    state = TrainingState(weight, torch.optim.SGD(weight.parameters(), lr=1.0), Sums(lambda o, t: t.sum()))
    training = Training(averaging="lookahead", averaging_decay=0.25, averaging_every_steps=2)
    slow, fast = None, 10.0
    for step in range(1, 9):
        weight.weight.grad = torch.ones(1, 1)
        state.optimizer.step()
        state.progress.step += 1
        average(state, training)
        fast -= 1
        if step % 2 == 0:
            keep = min(0.25, (1 + step // 2) / (10 + step // 2))
            slow = fast if slow is None else keep * slow + (1 - keep) * fast
            fast = slow
        assert weight.weight.item() == pytest.approx(fast, abs=1e-6)


def test_judged_and_kept_is_the_average_and_training_goes_on_without_it() -> None:
    state, training = build(), Training(averaging="ema", averaging_decay=0.9, averaging_every_steps=2)
    assert all(torch.equal(value, state.judged()[name]) for name, value in state.model.state_dict().items())
    for _ in steps(state):
        average(state, training)
    own = {name: value.clone() for name, value in state.model.state_dict().items()}
    with averaged(state):
        for name, value in state.model.state_dict().items():
            assert torch.equal(value, state.average[name])
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, own[name])
    state.keep_best()
    assert all(torch.equal(state.best[name], state.average[name]) for name in own)
    assert state.best_or_last() is state.best


def test_no_average_without_the_field() -> None:
    state = build()
    for _ in steps(state):
        average(state, Training())
    assert not state.average
