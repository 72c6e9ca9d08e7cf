"""Schedules against torch's own schedulers, stepped once an update."""

import pytest
import torch
from torch import nn

from netwright.config.optimization import Constant, Cosine, LinearLr, LrScheduler, OneCycle, Plateau, StepDecay
from netwright.training.schedule import Position, lr_factor

STEPS_PER_EPOCH, EPOCHS = 7, 6
TOTAL = STEPS_PER_EPOCH * EPOCHS


def ours(scheduler: LrScheduler) -> list[float]:
    return [lr_factor(scheduler, Position(step, STEPS_PER_EPOCH, TOTAL)) for step in range(TOTAL)]


def torchs(make) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("scheduler", "make"),
    [
        (Constant(), lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0)),
        (Cosine(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=TOTAL)),
        (Cosine(final_fraction=0.1), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=TOTAL, eta_min=0.1)),
        (
            StepDecay(every_epochs=2, gamma=0.5),
            lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=2 * STEPS_PER_EPOCH, gamma=0.5),
        ),
        (LinearLr(), lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=TOTAL)),
        (LinearLr(final_fraction=0.2), lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=TOTAL)),
        (
            LinearLr(up_fraction=0.5, start_fraction=0.1, final_fraction=0.2),
            lambda o: torch.optim.lr_scheduler.SequentialLR(
                o,
                [
                    torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, total_iters=TOTAL // 2),
                    torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=TOTAL // 2),
                ],
                milestones=[TOTAL // 2],
            ),
        ),
        (
            OneCycle(),
            lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=TOTAL, cycle_momentum=False),
        ),
        (
            OneCycle(up_fraction=0.5, start_division=10, end_division=100),
            lambda o: torch.optim.lr_scheduler.OneCycleLR(
                o, 1.0, total_steps=TOTAL, pct_start=0.5, div_factor=10, final_div_factor=100, cycle_momentum=False
            ),
        ),
    ],
    ids=[
        "constant",
        "cosine",
        "cosine-floor",
        "step",
        "linear",
        "linear-floor",
        "triangle",
        "one-cycle",
        "one-cycle-other",
    ],
)
def test_equals_torch(scheduler, make):
    assert ours(scheduler) == pytest.approx(torchs(make), abs=1e-9)


def test_warm_up_is_linear_as_torchs_linear_lr():
    warm = torchs(lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=1 / 5, total_iters=4))
    assert ours(Constant(warmup_steps=5))[:5] == pytest.approx(warm[:5])
    assert ours(Cosine(warmup_steps=5))[5] == pytest.approx(1.0)
    assert ours(LinearLr(warmup_steps=5))[4:6] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    "losses", [[1.0, 0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5], [3.0] * 9, [1, 2, 0.5, 3, 3, 3, 3, 3, 3]]
)
def test_plateau_replays_torchs(losses):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=1)
    history = []
    for loss in losses:
        reference.step(loss)
        history.append({"val_loss": loss})
        position = Position(99, STEPS_PER_EPOCH, TOTAL, history, "val_loss")
        assert lr_factor(Plateau(factor=0.1, patience=1), position) == pytest.approx(optimizer.param_groups[0]["lr"])
