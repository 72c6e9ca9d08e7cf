"""Steps of a copy of the network, to learn how long they take: the run itself is left untouched."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from netwright.data.batches import Batch
from netwright.runtime.machine import Machine, in_memory_format, memory_format_name
from netwright.training.fine_tuning import build_staged_optimizer, train_mode
from netwright.training.graphs import WARM_UP_STEPS, Graphs
from netwright.training.optimizer import Kernel
from netwright.training.plan import Plan
from netwright.training.shortcuts import build_shortcut


class Rehearsal:
    """A copy of a run's network with an optimizer of its own, whose lr is 0: any number of steps keeps it finite."""

    def __init__(
        self, model: nn.Module, plan: Plan, memory_format: torch.memory_format, kernel: Kernel, *, graphed: bool = False
    ) -> None:
        self._plan = plan
        self._model = copy.deepcopy(model).to(memory_format=memory_format)
        train_mode(self._model, plan.recipe.training, plan.recipe.training.epochs)
        bf16 = plan.machine.precision == "bf16"
        self._optimizer = build_staged_optimizer(plan.recipe.optimizer, self._model, kernel=kernel, bf16=bf16)
        for group in self._optimizer.param_groups:
            group["lr"] = 0.0 * group["lr"]  # a tensor on some devices
        machine = in_memory_format(plan.machine, memory_format_name(memory_format))
        self._shortcut = build_shortcut(self._model, plan, machine, graphed=graphed)
        if self._shortcut is not None:
            self._shortcut.enter_epoch()

    def warm_up(self, batches: list[Batch], machine: Machine) -> None:
        """Run the steps before which nothing is recorded, and the one in which it is; none without graphs."""
        for batch in batches if isinstance(self._shortcut, Graphs) else ():
            for _ in range(WARM_UP_STEPS + 1):
                self.step(batch, machine)

    def step(self, batch: Batch, machine: Machine) -> None:
        """Run one step, forward, backward and update, and wait for its end."""
        if self._shortcut is None or self._shortcut.compute(batch) is None:
            with machine.autocast():
                outputs = self._model(machine.arrange(batch.images))
            self._plan.batch_loss(outputs, batch.targets)[0].backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        for parameter in self._model.parameters():  # zero_grad() loads torch's compiler, 1.8 s of a processor's time
            parameter.grad = None
        machine.synchronize()


def stepper(rehearsal: Rehearsal, batches: list[Batch], machine: Machine) -> Callable[[], None]:
    """Return a function that runs the next step, on one batch after the other, with the machine's threads."""
    place = 0

    def step() -> None:
        nonlocal place
        if torch.get_num_threads() != machine.threads:
            torch.set_num_threads(machine.threads)
        rehearsal.step(batches[place % len(batches)], machine)
        place += 1

    return step
