"""Ours: one pass of `evaluation.run_network`, which validation, `evaluate` and the report use, over the test Batches.

Reading and decoding come before, as they do in a run, which evaluates many times; so does one warming batch."""

from time import perf_counter

from benchmarks.sides.report import arguments_of, report, work_of
from netwright.runtime.allocator import keep_large_blocks


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    keep_large_blocks()  # as every command does before torch loads
    import torch

    from benchmarks.sides.plan import build_run
    from netwright.evaluation.outputs import run_network
    from netwright.runtime.machine import applied
    from netwright.workflows.build import eval_batches

    run = build_run(work, arguments.npz, {"runtime.threads": arguments.threads, "runtime.exact": arguments.exact})
    plan, network = run.plan, run.state.model.eval()
    given = torch.load(arguments.weights, weights_only=True)  # the same network under other names, layer by layer
    names = network.state_dict().keys()
    network.load_state_dict(dict(zip(names, given.values(), strict=True)))
    batches = eval_batches(run.prepared, "test", plan.recipe, plan.machine)
    with applied(plan.machine):
        run_network(network, [batches.batch(0, 0)], plan.task, plan.batch_loss, plan.machine)
        start = perf_counter()
        outputs = run_network(network, batches.epoch(0), plan.task, plan.batch_loss, plan.machine)
        seconds = perf_counter() - start
    report(
        seconds,
        outputs.numbers["accuracy"],
        ("torch", "netwright"),
        machine=plan.machine.describe(),
        loss=round(outputs.loss, 6),
    )


if __name__ == "__main__":
    main()
