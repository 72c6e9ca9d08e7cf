"""A run of ours that has not begun: what `netwright train` prepares before its first step, by the same functions."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.works import Work
from netwright.data.prepare import PreparedData
from netwright.runs.folder import create_run
from netwright.runtime.machine import choose_machine
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.build import build_plan, build_state, build_task, open_prepared, resolve
from netwright.workflows.own import Own
from netwright.workflows.plan import plan_recipe


@dataclass(frozen=True)
class Run:
    prepared: PreparedData
    plan: Plan
    state: TrainingState


def build_run(work: Work, npz: str, settings: Mapping[str, object]) -> Run:
    """Prepare a work's recipe on the benchmark's arrays; `settings` are fields of the recipe."""
    own = Own()
    given = {
        "data.source": npz,
        "split.val": None,
        "training.batch_size": work.batch_size,
        "training.epochs": 1,
        **settings,
    }
    recipe = plan_recipe(work.recipe, list(given.items()))
    machine = choose_machine(recipe.runtime)
    prepared = open_prepared(recipe, own)
    recipe = resolve(recipe, prepared, machine)
    task = build_task(recipe, prepared)
    folder = create_run(recipe, Path(tempfile.mkdtemp()) / "run", "benchmark")
    plan = build_plan(folder, recipe, prepared, task, machine, own)
    return Run(prepared, plan, build_state(recipe, prepared, task, machine, own))
