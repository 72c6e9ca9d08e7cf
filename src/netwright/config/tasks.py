"""What a run learns to say: the tasks by name, their criteria, and what of a recipe makes no sense for which."""

from collections.abc import Sequence
from typing import Literal

from netwright.config.augmentations import Augmentation, Mixing
from netwright.config.optimization import CRITERIA, Criterion, CrossEntropy, Mse
from netwright.config.sections import Data, Training
from netwright.errors import RecipeError, listed

TaskName = Literal["classification", "regression", "segmentation"]
DEFAULT_CRITERIA: dict[str, Criterion] = {
    "classification": CrossEntropy(),
    "regression": Mse(),
    "segmentation": CrossEntropy(),
}


def criteria_for(task: str) -> list[str]:
    """Return the names of the criteria that fit a task."""
    return [name for name, part in CRITERIA.parts.items() if issubclass(part, Criterion) and task in part.tasks]


def criterion_for(task: str, chosen: Criterion) -> Criterion:
    """Return the chosen criterion, or the task's own where none was chosen and the default is another task's."""
    return DEFAULT_CRITERIA[task] if chosen == CrossEntropy() and task not in chosen.tasks else chosen


def check_task(data: Data, criterion: Criterion, training: Training, augmentation: Sequence[Augmentation]) -> None:
    """Raise RecipeError where a recipe that names its task asks for what that task has not."""
    task = data.task
    if task == "auto":
        return
    if task not in criterion_for(task, criterion).tasks:
        raise RecipeError(
            f"`criterion.name` is {criterion.name!r}, which is not for {task}; use {listed(criteria_for(task))}"
        )
    only_for_classes = {
        "training.sampling": training.sampling == "balanced",
        "training.head_solver": training.head_solver == "lbfgs",
        "augmentation": any(isinstance(part, Mixing) for part in augmentation),
        "data.classes": data.classes is not None,
    }
    asked = [field for field, given in only_for_classes.items() if given]
    if task != "classification" and asked:
        what = "`augmentation` mixes images, which" if asked[0] == "augmentation" else f"`{asked[0]}`"
        raise RecipeError(f"{what} is for one class an image, and the task is {task}; leave it out")
