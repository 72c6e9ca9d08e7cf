"""Which shortcut a run's steps take."""

from torch import nn

from netwright.models.chain import ChainNetwork
from netwright.runtime.machine import Machine
from netwright.training.by_hand import ByHand
from netwright.training.graphs import Graphs
from netwright.training.plan import Plan
from netwright.training.shortcut import Shortcut


def build_shortcut(model: nn.Module, plan: Plan, machine: Machine, *, graphed: bool | None = None) -> Shortcut | None:
    """Return what computes the steps of a network, where anything does. `graphed`: as the recipe says unless given."""
    if plan.solver is not None or plan.recipe.training.accumulation_steps > 1:
        return None
    if plan.recipe.runtime.cuda_graphs is True if graphed is None else graphed:
        return Graphs(model, plan.batch_loss, machine, plan.train.batch_size)
    on_cpu = machine.device.type == "cpu" and machine.precision == "fp32"
    return ByHand(model, plan.batch_loss) if on_cpu and isinstance(model, ChainNetwork) else None
