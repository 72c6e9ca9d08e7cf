"""What a run learns to say: the tasks by name, their criteria, and what of a recipe makes no sense for which."""

from collections.abc import Mapping, Sequence
from typing import Literal

from netwright.config.augmentations import Augmentation, Mixing, RandAugment, RandomWindow, TrivialAugmentWide
from netwright.config.models import AlexNet, Cnn, Linear, Mlp, Model, gives_masks
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


def check_weighs(criterion: object) -> None:
    """Raise RecipeError where a mapping gives weights of classes to a criterion that has none."""
    if not isinstance(criterion, Mapping) or criterion.get("class_weights") is None:
        return
    name = criterion.get("name")
    if name == "custom":
        raise RecipeError(
            "`criterion.class_weights` is given and your own criterion weighs what it likes by itself; leave it out"
        )
    part = CRITERIA.parts.get(str(name))
    if part is not None and "class_weights" not in part.__struct_fields__:
        raise RecipeError(
            f"`criterion.class_weights` weighs classes, and `criterion.name` is {name!r}, for numbers; leave it out"
        )


def check_task(data: Data, criterion: Criterion, training: Training, augmentation: Sequence[Augmentation]) -> None:
    """Raise RecipeError where a recipe that names its task asks for what that task has not."""
    task = data.task
    if task == "auto":
        return
    if task == "regression" and getattr(criterion, "class_weights", None) is not None:
        raise RecipeError(
            "`criterion.class_weights` weighs classes, and the task is regression, where there are none; leave it out"
        )
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
    if task != "segmentation" and any(isinstance(part, RandomWindow) for part in augmentation):
        raise RecipeError(f"`augmentation` has random_window, which is for masks, and the task is {task}; leave it out")
    if task == "segmentation":
        _check_masks_fit(training, augmentation)
    if task != "classification" and asked:
        what = "`augmentation` mixes images, which" if asked[0] == "augmentation" else f"`{asked[0]}`"
        raise RecipeError(f"{what} is for one class an image, and the task is {task}; leave it out")


def _check_masks_fit(training: Training, augmentation: Sequence[Augmentation]) -> None:
    """Raise RecipeError for what would part masks from their images, or judges images and not their pixels."""
    drawn = [part.name for part in augmentation if isinstance(part, (RandAugment, TrivialAugmentWide))]
    if drawn:
        raise RecipeError(
            f"`augmentation` has {drawn[0]}, which moves images without their masks; name parts of your own, such as "
            "rotation and color_jitter"
        )
    for field, asked in (
        ("resolutions", bool(training.resolutions)),
        ("views", training.views is not None),
        ("cached_features", training.cached_features is True),
    ):
        if asked:
            raise RecipeError(f"`training.{field}` is not for masks; leave it out")


def check_network(task: str, model: Model) -> None:
    """Raise RecipeError for a network that is known to say something else than the task asks for."""
    if task == "segmentation" and isinstance(model, (AlexNet, Cnn, Linear, Mlp)):
        raise RecipeError(
            f"`model.name` is {model.name!r}, which says one thing of an image, and masks have a class for each pixel; "
            "use unet, or one of torchvision's segmentation networks"
        )
    if task in ("classification", "regression") and gives_masks(model):
        raise RecipeError(
            f"`model.name` is {model.name!r}, which gives masks, and the task is {task}; give masks to learn from: "
            "--masks FOLDER"
        )
