"""A network for rows that says no more of val than always the same answer does: the bundle then gives that answer."""

import torch
from torch import nn

from netwright.config.recipe import Recipe
from netwright.data.prepare import PreparedData
from netwright.evaluation.outputs import Outputs
from netwright.evaluation.skill import Floats, shows_skill, squared_errors
from netwright.models.row_output import can_say_always, say_always
from netwright.tasks.classification import class_weights, sample_losses
from netwright.tasks.task import Task, TrainTargets
from netwright.tasks.temperature import tempered


def without_skill(
    network: nn.Module,
    outputs: Outputs,
    temperature: float | None,
    prepared: PreparedData,
    recipe: Recipe,
    task: Task,
    train: TrainTargets,
) -> str:
    """Let a network without skill on val give always the same answer, and return in words that it does; else nothing.

    `outputs` are val's. The answer is train's share of each class as the criterion weighs them, or train's mean. Where
    classes are drawn equally often, or the network's last layers are unknown, nothing is done."""
    if prepared.transform.kind != "rows" or not can_say_always(network) or recipe.training.sampling == "balanced":
        return ""
    if task.name == "regression":
        truth = outputs.targets.numpy()
        losses, always = squared_errors(outputs.answers, truth), squared_errors(train.mean, truth)
        if shows_skill(losses, always):
            return ""
        say_always(network, torch.zeros(1))
        return _said(losses, always, "squared error", "train's mean")
    assert train.counts is not None
    logs = _always(recipe, train)
    answers = torch.from_numpy(tempered(outputs.answers.numpy(), temperature))
    ours = sample_losses(recipe.criterion, answers, outputs.targets, train.counts)
    others = sample_losses(recipe.criterion, logs.expand(len(answers), -1), outputs.targets, train.counts)
    if ours is None or others is None:  # a criterion of the user's own
        return ""
    losses, always, weights = ours[0].numpy(), others[0].numpy(), ours[1].numpy()
    if shows_skill(losses, always, weights):
        return ""
    say_always(network, (logs[1] - logs[0])[None] if task.num_outputs == 1 else logs)
    return _said(losses / weights.mean(), always / weights.mean(), "loss", "train's share of each class")


def _always(recipe: Recipe, train: TrainTargets) -> torch.Tensor:
    """Return the logarithms (K,) float64 of train's shares, weighted as the criterion does."""
    assert train.counts is not None
    weights = class_weights(getattr(recipe.criterion, "class_weights", None), train.counts)
    shares = train.counts.double() if weights is None else train.counts.double() * weights.double()
    return (shares.clamp(min=1e-9) / shares.sum()).log()


def _said(losses: Floats, always: Floats, what: str, answer: str) -> str:
    return (
        f"On val the network is no better than always the same answer ({what} {losses.mean():.4g} against "
        f"{always.mean():.4g}, not one standard error less), so the bundle gives that answer: {answer}."
    )
