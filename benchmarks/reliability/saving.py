"""A state of any size whose every number says which save it belongs to, loaded, checked and saved."""

import os
from pathlib import Path

import torch
from torch import nn

from benchmarks.reliability.phases import entered
from netwright.runs.checkpoints import has_checkpoint
from netwright.training.checkpoint import load_checkpoint, save_checkpoint
from netwright.training.state import Progress, Sums, TrainingState

COPIES = 4  # of every number: weights, best weights, two moments of Adam


def build_state(megabytes: float) -> TrainingState:
    """Return a state of about so many megabytes (10^6 bytes), in two layers."""
    size = max(2, round((megabytes * 1e6 / 4 / COPIES / 2) ** 0.5))
    # without drawn weights, which would take longer than the save
    model = nn.Sequential(*(nn.utils.skip_init(nn.Linear, size, size) for _ in range(2)))
    state = TrainingState(model, torch.optim.Adam(model.parameters()), Sums(lambda outputs, targets: torch.tensor(0)))
    set_step(state, 0)
    return state


def set_step(state: TrainingState, step: int) -> None:
    """Let every number of the state be made of `step`."""
    state.progress = Progress(step=step, batch=step)
    state.history = [{"epoch": 1, "train_loss": step / 3}]
    state.best = {name: torch.full_like(value, step + 0.25) for name, value in state.model.state_dict().items()}
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.fill_(step)
            moments = {
                "exp_avg": torch.full_like(parameter, step + 0.5),
                "exp_avg_sq": torch.full_like(parameter, step + 0.75),
            }
            state.optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}


def is_of_step(state: TrainingState, step: int) -> bool:
    """Say whether every number of the state is made of `step`."""
    numbers: list[tuple[torch.Tensor, float]] = [(value, step) for value in state.model.state_dict().values()]
    numbers += [(value, step + 0.25) for value in state.best.values()]
    for moments in state.optimizer.state.values():
        numbers += [(moments["step"], step), (moments["exp_avg"], step + 0.5), (moments["exp_avg_sq"], step + 0.75)]
    whole = len(numbers) == len(state.model.state_dict()) * 5
    right = state.progress == Progress(step=step, batch=step) and state.history == [
        {"epoch": 1, "train_loss": step / 3}
    ]
    return whole and right and all(bool((value == number).all()) for value, number in numbers)


def load_and_save(folder: str, told: str, megabytes: float, saves: int) -> int:
    """Load what is there, check it, and save so often; tell the step of each by a line in `told`."""
    Path(told).write_bytes(b"")
    state, place = build_state(megabytes), Path(folder)
    if has_checkpoint(place):
        load_checkpoint(place, state)
        assert is_of_step(state, state.progress.step), f"a mixture: {state.progress}"
    step = state.progress.step
    with open(told, "ab", buffering=0) as file:
        os.write(file.fileno(), b"loaded %d\n" % step)
        for number in range(step + 1, step + 1 + saves):
            set_step(state, number)
            with entered("save"):
                save_checkpoint(place, state)
            os.write(file.fileno(), b"saved %d\n" % number)
    return 0
