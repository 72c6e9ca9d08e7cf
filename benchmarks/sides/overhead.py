"""What our loop adds to a step: `training.fit.train_epoch`, everything on, minus its own computing alone, one thread.

One process, one network, one stream of batches: a step through the loop (progress bar, sums, checks, learning rate,
clock), then a step that is forward, backward and update and nothing else, and so on. Each step is timed by itself, so
what disturbs one is seen in one; the figure is the difference of the medians. What gathers the batches is the same for
both. The step alone ends with `optimizer.zero_grad()`, as everybody writes it; the figure without that is beside it."""

import dataclasses
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.sides.report import Terminal, arguments_of, report, work_of
from netwright.runtime.allocator import keep_large_blocks

EPOCHS = 9  # of 860 steps; each way of doing a step gets a third of them


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    keep_large_blocks()  # as every command does before torch loads
    import torch

    from benchmarks.sides.plan import build_run
    from netwright.runtime.machine import applied

    settings = {"runtime.threads": 1, "training.seed": arguments.seed, "training.epochs": EPOCHS + 1}
    run = build_run(work, arguments.npz, settings)
    model, optimizer, machine = run.state.model, run.state.optimizer, run.plan.machine
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def gradient(batch: Any) -> None:
        with machine.autocast():
            outputs = model(machine.arrange(batch.images))
        loss = torch.nn.functional.cross_entropy(outputs.float(), batch.targets)
        loss.backward()
        optimizer.step()

    def alone(batch: Any) -> None:
        gradient(batch)
        optimizer.zero_grad()

    def barely(batch: Any) -> None:
        gradient(batch)
        for parameter in parameters:
            parameter.grad = None

    alternating = Alternating(run.plan.train, {"alone": alone, "barely": barely})
    with applied(machine), redirect_stderr(Terminal()):  # type: ignore[type-var]
        train(run.plan, run.state, alternating)
    taken = {name: 1e6 * statistics.median(seconds) for name, seconds in alternating.seconds.items()}
    report(
        taken["loop"] / 1e6,
        0.0,
        ("torch", "netwright"),
        overhead_microseconds=round(taken["loop"] - taken["alone"], 1),
        overhead_without_zero_grad_microseconds=round(taken["loop"] - taken["barely"], 1),
        alone_microseconds=round(taken["alone"], 1),
        steps=len(alternating.seconds["loop"]),
    )


class Alternating:
    """A run's batches, of which the loop sees every third; the others are given to other ways of doing a step.

    `seconds` holds what each step took, of the loop from where it is handed a batch to where it asks for the next. The
    first epoch is not counted. Which way comes next is shifted now and then: batches are made some at a time, and the
    step after that would always be the same one's."""

    def __init__(self, batches: Any, others: dict[str, Any]) -> None:
        self._batches, self._others = batches, others
        self.prepared, self.num_batches = batches.prepared, batches.num_batches
        self.seconds: dict[str, list[float]] = {"loop": []} | {name: [] for name in others}

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        names = list(self.seconds)
        for number, batch in enumerate(self._batches.epoch(epoch, start)):
            name = names[(number + number // 31) % len(names)]
            begun = perf_counter()
            if name == "loop":
                yield batch
            else:
                self._others[name](batch)
            if epoch > 1:
                self.seconds[name].append(perf_counter() - begun)


def train(plan: Any, state: Any, batches: Alternating) -> None:
    """Train some epochs through the product's loop, told of by the product's console."""
    from netwright.runs.events import EventWriter
    from netwright.training.clock import Clock
    from netwright.training.fit import train_epoch
    from netwright.workflows.console import Console
    from netwright.workflows.interrupt import StopSwitch
    from netwright.workflows.own import Own
    from netwright.workflows.sitting import Watcher

    events = EventWriter(Path(tempfile.mkdtemp()), [])
    console = Console(json=True)
    watcher = Watcher(console, StopSwitch(), Own(), events, plan.recipe, state.model)
    plan, clock = dataclasses.replace(plan, train=batches), Clock(plan, state)
    for epoch in range(1, EPOCHS + 2):
        state.progress.epoch, state.progress.batch = epoch, 0
        state.sums.reset()
        train_epoch(state, plan, watcher, clock)
        console._close()


if __name__ == "__main__":
    main()
