"""What the report shows for each task: its sections, the number that its curves follow, its own templates.

Templates of a task lie in `templates/tasks/<task>/`: `headline.html` (the first numbers) and `results.html`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from netwright.report.records import Records

Section = tuple[str, str, Any]  # the template's name, the heading, whether it is there


class TaskPage(NamedTuple):
    """A task's part of the page; `metric` of the history is drawn beside the loss, times `scale`, in `unit`."""

    kind: str
    metric: str
    title: str
    scale: float
    unit: str
    sections: Callable[[Records], list[Section]]


def _of_classes(run: Records) -> list[Section]:
    judged = run.judged
    return [
        ("results", "Results", judged or run.metrics.get("folds")),
        ("classes", "Classes and mix-ups", judged),
        ("calibration", "Can the probabilities be trusted?", judged),
        ("mistakes", "What went wrong", judged),
        ("suspects", "Labels that may be wrong", judged or run.metrics.get("folds")),
    ]


def _of_numbers(run: Records) -> list[Section]:
    return [("results", "Results", run.judged), ("errors", "Where the errors are", run.outputs and run.judged)]


def _of_masks(run: Records) -> list[Section]:
    return [("results", "Results", run.judged), ("masks", "Images and their masks", run.outputs and run.judged)]


TASK_PAGES = {
    "classification": TaskPage("An image classifier", "accuracy", "Accuracy", 100, "%", _of_classes),
    "regression": TaskPage("A network that says a number", "rmse", "RMSE", 1, "", _of_numbers),
    "segmentation": TaskPage("A network that gives masks", "mean_dice", "Mean Dice", 1, "", _of_masks),
}


def kind_of(run: Records) -> str:
    """Say what was trained: "An image classifier", "A classifier of a table's rows"."""
    if run.recipe.get("data", {}).get("target") is None:
        return TASK_PAGES[run.task].kind
    return "A classifier of a table's rows" if run.class_names else "A network that says a number for a table's rows"


def sections_of(run: Records, panels: Any) -> list[Section]:
    """Return the sections of a run's report that have something to show, in their order."""
    every: list[Section] = [
        ("asked", "What was asked", True),
        ("data", "Data, splits and leaks", run.data),
        ("model", "Network", run.recipe),
        ("training", "Training", run.history),
        *TASK_PAGES[run.task].sections(run),
        ("inside", "Inside the network", panels),
        ("ledger", "Looks at the test split", "test" in run.num_samples),
        ("environment", "Where it ran", run.environment),
        ("again", "Do it again", True),
    ]
    return [section for section in every if section[2]]
