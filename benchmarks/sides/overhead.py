"""What our loop adds to a step: `training.fit.train_epoch`, everything on, minus its own computing alone, one thread.

One process, blocks of steps in turn: an epoch through the loop (progress bar, sums, checks, learning rate, clock), then
the same batches gathered, forward, backward, update and nothing else. The figure is the median of the differences."""

import statistics
import tempfile
from contextlib import redirect_stderr
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.sides.report import Terminal, arguments_of, report, work_of
from netwright.runtime.allocator import keep_large_blocks

BLOCKS = 12


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    keep_large_blocks()  # as every command does before torch loads
    import torch

    from benchmarks.sides.plan import build_run
    from netwright.runtime.machine import applied
    from netwright.training.plan import Plan
    from netwright.training.state import TrainingState

    def bare(state: TrainingState, plan: Plan) -> None:
        """Gather, forward, backward, update: the same functions on the same batches."""
        model, optimizer, machine = state.model, state.optimizer, plan.machine
        for batch in plan.train.epoch(1):
            with machine.autocast():
                outputs = model(machine.arrange(batch.images))
            loss = torch.nn.functional.cross_entropy(outputs.float(), batch.targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    settings = {"runtime.threads": 1, "training.seed": arguments.seed, "training.epochs": 2 * BLOCKS}
    ours, alone = (build_run(work, arguments.npz, settings) for _ in range(2))
    with applied(ours.plan.machine), redirect_stderr(Terminal()):  # type: ignore[type-var]
        loop = loop_of(ours.plan, ours.state)
        seconds: dict[str, list[float]] = {"loop": [], "bare": []}
        cpu: dict[str, list[float]] = {"loop": [], "bare": []}
        for block in range(BLOCKS + 1):
            for name in ("loop", "bare") if block % 2 else ("bare", "loop"):
                start, cpu_start = perf_counter(), process_time()
                loop() if name == "loop" else bare(alone.state, alone.plan)
                if block:  # the first warms up
                    seconds[name].append(perf_counter() - start)
                    cpu[name].append(process_time() - cpu_start)
    steps = ours.plan.train.num_batches
    report(
        statistics.median(seconds["loop"]),
        0.0,
        ("torch", "netwright"),
        overhead_microseconds=microseconds(seconds, steps),
        overhead_cpu_microseconds=microseconds(cpu, steps),  # the same on a busy machine
        bare_microseconds=round(1e6 * statistics.median(seconds["bare"]) / steps, 1),
        steps_in_a_block=steps,
        blocks=BLOCKS,
    )


def microseconds(seconds: dict[str, list[float]], steps: int) -> float:
    """Return the median of the differences between loop and bare blocks, in microseconds a step."""
    differences = [loop - bare for loop, bare in zip(seconds["loop"], seconds["bare"], strict=True)]
    return round(1e6 * statistics.median(differences) / steps, 1)


def loop_of(plan: object, state: object) -> "object":
    """Return a function that trains one epoch through the product's loop, told of by the product's console."""
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
    clock = Clock(plan, state)

    def epoch() -> None:
        state.progress.batch = 0
        state.sums.reset()
        train_epoch(state, plan, watcher, clock)
        console._close()

    return epoch


if __name__ == "__main__":
    main()
