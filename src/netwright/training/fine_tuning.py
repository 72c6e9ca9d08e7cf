"""Which stages of a network are trained, from which epoch on, and with which lr.

A frozen stage runs in eval mode (batch norm keeps its statistics, dropout passes on) and gets no gradient. What is
never trained is not in the optimizer; what is unfrozen later is there from the beginning, without a gradient, which
torch's optimizers pass over: no step, no decay, no state. So all that changes is a function of the epoch, as a resumed
run needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from netwright.config.optimization import Optimizer
from netwright.config.sections import Training
from netwright.errors import RecipeError
from netwright.models.feature_head import FeatureHead
from netwright.models.stages import Stage, find_stage, stages_of
from netwright.training.optimizer import Kernel, build_optimizer


def first_epochs(stages: tuple[Stage, ...], training: Training) -> dict[str, int | None]:
    """Return for each stage the epoch (from 1) in which its training begins; None when it never does.

    Raises RecipeError for names of no stage, and where nothing would be trained at first."""
    begins: dict[str, int | None] = {stage.name: 1 for stage in stages}
    if training.freeze == "none":
        return begins
    num_frozen = sum(not stage.decodes for stage in stages[:-1])
    if training.freeze != "backbone":
        num_frozen = find_stage(stages, training.freeze, "training.freeze") + 1
    if num_frozen == len(stages):
        raise RecipeError("`training.freeze` names the head, so that nothing would be trained; freeze the backbone")
    for stage in stages[:num_frozen]:
        begins[stage.name] = None
    if isinstance(training.unfreeze, Mapping):
        for name, epoch in training.unfreeze.items():
            begins[stages[find_stage(stages, name, "training.unfreeze")].name] = epoch
    elif training.unfreeze is not None:
        for place, stage in enumerate(reversed(stages[:num_frozen]), start=1):
            begins[stage.name] = 1 + place * training.unfreeze
    return begins


@dataclass(frozen=True)
class TrainedStage:
    """A stage, how many parameters it has, and the epoch (from 1) in which its training begins; None: it is frozen."""

    name: str
    num_parameters: int
    begins: int | None


def trained_stages(network: nn.Module, training: Training) -> tuple[TrainedStage, ...]:
    """Say what is trained of a network, from the input to the head. Raises RecipeError for names of no stage."""
    stages = stages_of(network)
    begins = first_epochs(stages, training)
    counts = dict.fromkeys(begins, 0)
    for name, parameter in network.named_parameters():
        counts[next(stage.name for stage in stages if stage.holds(name))] += parameter.numel()
    return tuple(TrainedStage(name, counts[name], begins[name]) for name in begins)


def freeze_for_good(network: nn.Module, training: Training) -> None:
    """Take the gradient from what is never trained, before the optimizer is built."""
    if training.freeze == "none":
        return
    stages = stages_of(network)
    begins = first_epochs(stages, training)
    # not by whether that epoch comes: a run may go on past its end, and the optimizer's parameters are its checkpoint's
    never = [stage for stage in stages if begins[stage.name] is None]
    for name, parameter in network.named_parameters():
        if any(stage.holds(name) for stage in never):
            parameter.requires_grad_(False)


def train_mode(network: nn.Module, training: Training, epoch: int) -> list[Stage]:
    """Set the network to train mode, and what is frozen in this epoch to eval mode; return the frozen stages."""
    network.train()
    if training.freeze == "none" or isinstance(network, FeatureHead):  # whose backbone is elsewhere, in eval mode
        return []
    stages = stages_of(network)
    begins = first_epochs(stages, training)
    frozen = [stage for stage in stages if (begins[stage.name] or epoch + 1) > epoch]
    for stage in frozen:
        for path in stage.modules:
            network.get_submodule(path).eval()
    return frozen


def enter_epoch(network: nn.Module, optimizer: torch.optim.Optimizer, training: Training, epoch: int) -> None:
    """Set what trains in this epoch: modes, and which of the optimizer's parameters get a gradient.

    A group with `epochs` gets none any more when they are over."""
    stages = train_mode(network, training, epoch)
    frozen = {id(p) for name, p in network.named_parameters() if any(stage.holds(name) for stage in stages)}
    for group in optimizer.param_groups:
        if training.freeze == "none" and "epochs" not in group:
            continue
        over = epoch > group.get("epochs", epoch)
        for parameter in group["params"]:
            parameter.requires_grad_(not over and id(parameter) not in frozen)


def build_staged_optimizer(
    optimizer: Optimizer, network: nn.Module, *, kernel: Kernel, bf16: bool = False
) -> torch.optim.Optimizer:
    """Build the optimizer over what gets gradients, its lr shrinking from stage to stage towards the input."""
    depths: dict[str, int] | None = None
    if optimizer.stage_lr_factor != 1 and not isinstance(network, FeatureHead):
        stages = tuple(reversed(stages_of(network)))
        depths = {
            name: next(depth for depth, stage in enumerate(stages) if stage.holds(name))
            for name, _ in network.named_parameters()
        }
    return build_optimizer(optimizer, network.named_parameters(), kernel=kernel, bf16=bf16, depths=depths)
