"""The recipe: one frozen, typed object that says what a run is. No torch here, so that checking it is instant."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from netwright.config.augmentations import AUGMENTATIONS, Augmentation, Mixing, check_order
from netwright.config.models import MODELS, Cnn, CustomModel, Model, TorchvisionModel
from netwright.config.optimization import (
    CRITERIA,
    LR_SCHEDULERS,
    OPTIMIZERS,
    Adam,
    Bce,
    BceDice,
    BceWithLogits,
    Constant,
    Criterion,
    CrossEntropy,
    CustomCriterion,
    CustomOptimizer,
    LrScheduler,
    Nll,
    Optimizer,
    Plateau,
)
from netwright.config.schema import convert_section
from netwright.config.sections import SECTIONS, Data, Runtime, Split, Training, Transform
from netwright.config.tasks import TaskName, check_network, check_task, check_weighs, criterion_for
from netwright.errors import RecipeError, did_you_mean, listed

PARTS = {
    "model": MODELS,
    "criterion": CRITERIA,
    "optimizer": OPTIMIZERS,
    "lr_scheduler": LR_SCHEDULERS,
    "augmentation": AUGMENTATIONS,
}


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is. The command line, a file and keyword arguments all produce one of these."""

    data: Data = Data()
    split: Split = Split()
    transform: Transform = Transform()
    augmentation: tuple[Augmentation, ...] = ()
    model: Model = Cnn()
    criterion: Criterion = CrossEntropy()
    optimizer: Optimizer = Adam()
    lr_scheduler: LrScheduler = Constant()
    training: Training = Training()
    runtime: Runtime = Runtime()

    def to_mapping(self) -> dict[str, Any]:
        """Return plain nested dictionaries and lists, as recipe.yaml holds them."""
        mapping: dict[str, Any] = msgspec.to_builtins(self)
        return mapping

    def replace(self, **sections: Any) -> "Recipe":
        """Return a copy in which some whole sections or parts are others."""
        return msgspec.structs.replace(self, **sections)


def build_recipe(mapping: Mapping[str, Any]) -> Recipe:
    """Build and check a recipe from nested mappings; what is absent takes its default.

    Raises RecipeError, naming the field, for unknown names, wrong types and values that make no sense together."""
    known = [field.name for field in msgspec.structs.fields(Recipe)]
    made: dict[str, Any] = {}
    for key, value in mapping.items():
        if key not in known:
            raise RecipeError(
                f"`{key}` is not a section of the recipe{did_you_mean(str(key), known)}; sections: {listed(known, 20)}"
            )
        made[key] = _convert(key, value)
    recipe = Recipe(**made)
    check_recipe(recipe)
    return recipe


def _convert(key: str, value: object) -> object:
    if key == "training" and isinstance(value, Mapping) and value.get("batch_size") == "auto":
        value = {name: field for name, field in value.items() if name != "batch_size"} | {"fit_memory": True}
    if key in SECTIONS:
        return convert_section(SECTIONS[key], value, key)
    if key == "criterion":
        check_weighs(value)
    if key != "augmentation":
        return PARTS[key].convert(value, key)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise RecipeError(f"`augmentation` is {value!r}; expected a list, such as [{{name: horizontal_flip}}]")
    return tuple(AUGMENTATIONS.convert(item, f"augmentation[{place}]") for place, item in enumerate(value))


def check_recipe(recipe: Recipe) -> None:
    """Raise RecipeError for parts that are each right and do not go together."""
    check_task(recipe.data, recipe.criterion, recipe.training, recipe.augmentation)
    check_network(recipe.data.task, recipe.model)
    if recipe.data.task == "segmentation" and recipe.transform.views != "none":
        raise RecipeError("`transform.views` averages what is said of an image and its mirror image; leave it out")
    _check_time(recipe)
    check_order(recipe.augmentation)
    check_mixing(recipe)
    check_balance(recipe)
    check_features(recipe)
    wanted = output_for(recipe.criterion)
    given = getattr(recipe.model, "output", None)
    if given in (None, wanted) or (isinstance(recipe.criterion, CustomCriterion) and given == "log_probabilities"):
        pass
    elif isinstance(recipe.criterion, CrossEntropy) and given == "log_probabilities":
        pass  # redundant and harmless: log_softmax of log-probabilities is the identity
    else:
        raise RecipeError(
            f"`criterion.name` is {recipe.criterion.name!r}, which takes {wanted.replace('_', '-')}, and "
            f"`model.output` is {given!r}; leave `model.output` out and it follows the criterion"
        )
    if isinstance(recipe.model, TorchvisionModel) and isinstance(recipe.criterion, (Nll, Bce)):
        raise RecipeError(
            f"`model.name` is {recipe.model.name!r}, which gives logits, and `criterion.name` is "
            f"{recipe.criterion.name!r}; use cross_entropy (or bce_with_logits for two classes)"
        )
    if recipe.split.val == 0 and recipe.training.monitor.startswith("val_"):
        if recipe.training.patience is not None or isinstance(recipe.lr_scheduler, Plateau):
            raise RecipeError(
                f"`training.monitor` is {recipe.training.monitor!r} and `split.val` is 0: there is nothing to watch; "
                "set `split.val`, or watch train_loss"
            )


def _check_time(recipe: Recipe) -> None:
    """Raise RecipeError for splits by time where there are no rows, or that would tear groups apart."""
    if recipe.split.by_time is None:
        return
    if recipe.data.target is None:
        raise RecipeError(
            "`split.by_time` is for the rows of a table, which `data.target` asks for; name the column to learn: "
            "--target COLUMN"
        )
    if recipe.data.group_by is not None:
        raise RecipeError(
            "`split.by_time` and `data.group_by` are both given: a group may go on over the time where the splits "
            "part; leave one of them out"
        )


def with_task(recipe: Recipe, task: TaskName) -> Recipe:
    """Return the recipe with the task that the data turned out to be, and that task's criterion where none was chosen.

    Raises RecipeError when the recipe asks for another task, or for something that this one has not."""
    if recipe.data.task not in ("auto", task):
        raise RecipeError(f"`data.task` is {recipe.data.task!r} and the data are for {task}; leave `data.task` out")
    data = msgspec.structs.replace(recipe.data, task=task)
    made = recipe.replace(data=data, criterion=criterion_for(task, recipe.criterion))
    check_recipe(made)
    return made


def trains_head_only(recipe: Recipe) -> bool:
    """Say whether all but the head is frozen, from the first epoch to the last: then its features never change."""
    return recipe.training.freeze == "backbone" and recipe.training.unfreeze is None


def check_features(recipe: Recipe) -> None:
    """Raise RecipeError where the recipe asks for features to be kept, and they would not stay the same."""
    training = recipe.training
    asked = {
        "views": training.views,
        "cached_features": training.cached_features if training.cached_features is True else None,
        "head_solver": training.head_solver if training.head_solver != "optimizer" else None,
    }
    for name, value in asked.items():
        if value is None:
            continue
        given = f"`training.{name}` is {value!r}, which works on the features of a frozen backbone, and"
        if training.cached_features is False:
            raise RecipeError(f"{given} `training.cached_features` is false; leave one of them out")
        if not trains_head_only(recipe):
            raise RecipeError(f"{given} more than the head is trained; set `training.freeze: backbone` alone")
        if recipe.augmentation and training.views is None:
            raise RecipeError(f"{given} augmentation makes new ones in every epoch; set `training.views: 8`, or so")
        if any(isinstance(part, Mixing) for part in recipe.augmentation):
            raise RecipeError(f"{given} mixed images are new ones in every epoch; leave mixing out")
        if training.resolutions:
            raise RecipeError(f"{given} `training.resolutions` changes them from epoch to epoch; leave one of them out")
    if training.views is not None and not recipe.augmentation:
        raise RecipeError(
            f"`training.views` is {training.views} and there is no augmentation, so that all views of an image would "
            "be the same; add some, or leave `views` out"
        )
    if training.head_solver == "lbfgs" and (
        not isinstance(recipe.criterion, CrossEntropy)
        or training.averaging != "none"
        or training.sampling == "balanced"
    ):
        raise RecipeError(
            "`training.head_solver` is 'lbfgs', which finds the optimum of cross_entropy over train as it is; leave "
            "other criteria, `training.averaging` and `training.sampling` out (`criterion.class_weights` balances)"
        )


def check_mixing(recipe: Recipe) -> None:
    """Raise RecipeError for mixed images where the criterion takes one class an image."""
    mixing = [part.name for part in recipe.augmentation if isinstance(part, Mixing)]
    if mixing and not isinstance(recipe.criterion, (CrossEntropy, CustomCriterion)):
        raise RecipeError(
            f"`augmentation` has {mixing[0]}, whose targets are shares of several classes, and `criterion.name` is "
            f"{recipe.criterion.name!r}, which takes one class an image; use cross_entropy"
        )


def check_balance(recipe: Recipe) -> None:
    """Raise RecipeError where an imbalance would be made up for twice."""
    weights = getattr(recipe.criterion, "class_weights", None)
    if recipe.training.sampling == "balanced" and weights is not None:
        raise RecipeError(
            "`training.sampling` is balanced and `criterion.class_weights` is set: small classes would be made up for "
            "twice; leave one of them out"
        )


def output_for(criterion: Criterion) -> Literal["logits", "log_probabilities", "probabilities"]:
    """Return what the network must give for a criterion."""
    if isinstance(criterion, Nll):
        return "log_probabilities"
    return "probabilities" if isinstance(criterion, Bce) else "logits"


def num_outputs_for(criterion: Criterion, num_classes: int, classes: str = "`data.classes`") -> int:
    """Return the width of the network's output: one for the binary criteria, else one a class.

    `classes` is the field that says which classes there are.
    Raises RecipeError when a binary criterion meets another number of classes."""
    if not isinstance(criterion, (Bce, BceDice, BceWithLogits)):
        return num_classes
    if num_classes != 2:
        other = "cross_entropy_dice" if isinstance(criterion, BceDice) else "cross_entropy"
        raise RecipeError(
            f"`criterion.name` is {criterion.name!r}, for two classes, and the data have {num_classes}; use {other}, "
            f"or keep two classes with {classes}"
        )
    return 1


def custom_parts(recipe: Recipe) -> list[str]:
    """Return the sections whose part was the user's own object, which a file can't hold."""
    custom = [("model", CustomModel), ("criterion", CustomCriterion), ("optimizer", CustomOptimizer)]
    names = [name for name, kind in custom if isinstance(getattr(recipe, name), kind)]
    return names + (["transform"] if recipe.transform.normalize == "custom" else [])
