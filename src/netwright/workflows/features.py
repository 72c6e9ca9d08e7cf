"""Training the head alone on what a frozen backbone says of the images: when it is done, and how a run turns to it."""

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from netwright.config.augmentations import Mixing
from netwright.config.optimization import CrossEntropy
from netwright.config.recipe import Recipe, trains_head_only
from netwright.config.sections import Runtime
from netwright.data.features import FeatureBatches, FeatureMaker, Features
from netwright.data.prepare import PreparedData
from netwright.errors import RecipeError
from netwright.files.blocks import Say
from netwright.models.feature_head import cut, describe_backbone
from netwright.training.head_solver import HeadSolver
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.build import count_classes
from netwright.workflows.duration import duration
from netwright.workflows.own import Own

VAL_BATCH = 1024


@dataclass(frozen=True)
class OnFeatures:
    """A run's state and plan, whose network is the head and whose images are `features`; None where they are not."""

    state: TrainingState
    plan: Plan
    features: Features | None = None

    def describe(self) -> str:
        """Return the summary's phrase: "397 images through squeezenet1_1 once, 34 s; cached"."""
        found, name = self.features, self.plan.recipe.model.name
        if found is None:
            return ""
        views = f"{len(found.views[0]):,} images in {len(found.views)} views" if found.views else ""
        plain = f"{len(found.rows):,} images" if len(found.rows) or not views else ""
        what = f"{' and '.join(part for part in (plain, views) if part)} through {name} once"
        if not found.num_computed:
            return f"{what}, in an earlier run"
        return f"{what}, {duration(found.seconds)}; {'not kept' if found.notices else 'cached'}"

    def to_mapping(self) -> dict[str, Any]:
        """Return what environment.json says of the features; nothing where there are none."""
        found = self.features
        if found is None:
            return {}
        counts = {"images": len(found.rows), "views": len(found.views), "computed": found.num_computed}
        return {"features": {**counts, "seconds": round(found.seconds, 3), "shape": list(found.plain.shape[1:])}}


def with_cached_features(recipe: Recipe, prepared: PreparedData, own: Own) -> Recipe:
    """Return the recipe with `training.cached_features` decided.

    Raises RecipeError when features are asked for that would not stay the same."""
    training = recipe.training
    asked = training.cached_features is True or training.views is not None or training.head_solver != "optimizer"
    reason = _why_not(recipe, prepared, own)
    if asked and reason:
        raise RecipeError(f"features can't be kept: {reason}; leave `cached_features`, `views` and `head_solver` out")
    kept = training.cached_features is not False and not reason
    return recipe.replace(training=msgspec.structs.replace(training, cached_features=kept))


def _why_not(recipe: Recipe, prepared: PreparedData, own: Own) -> str:
    """Return why the features of an image would not be the same in every epoch, or could not be told from others."""
    if not trains_head_only(recipe):
        return "more than the head is trained"
    if prepared.labelled.masks is not None:
        return "masks need what the network says of every place"
    if recipe.augmentation and recipe.training.views is None:
        return "augmentation makes new images in every epoch, and `training.views` does not say how many to keep"
    if any(isinstance(part, Mixing) for part in recipe.augmentation):
        return "mixed images are new ones in every epoch"
    if recipe.training.resolutions:
        return "`training.resolutions` changes the images from epoch to epoch"
    if prepared.store.items is not None:
        return "your Dataset makes its items anew in every epoch"
    if own.transform is not None or own.model is not None:
        return "your own transform or network is known by no name that a cache could use"
    return ""


def on_features(state: TrainingState, plan: Plan, prepared: PreparedData, say: Say | None = None) -> OnFeatures:
    """Compute what the backbone says of every image, or find it kept, and turn the run to training the head on that.

    The head's modules are the network's own. Raises as `FeatureMaker.make`; RecipeError where `head_solver` meets a
    head that is not linear."""
    recipe, machine = plan.recipe, plan.machine
    if not recipe.training.cached_features:
        return OnFeatures(state, plan)
    backbone, head = cut(state.model)
    state.model.eval()
    about = {"layers": recipe.model.name, **describe_backbone(backbone)}
    seed = recipe.training.seed
    maker = FeatureMaker(prepared, backbone, about, machine, name=recipe.model.name, seed=seed, say=say)
    augmentation = recipe.to_mapping()["augmentation"]
    features = maker.make(plan.train.augment, augmentation, recipe.training.views or 0)
    size, device = recipe.training.batch_size, machine.device
    order: dict[str, Any] = {"seed": seed, "shuffle": True, "balanced": plan.train.balanced}
    train = FeatureBatches(prepared, "train", features, batch_size=size, device=device, **order)
    val = None
    if plan.val is not None:
        val = FeatureBatches(prepared, "val", features, batch_size=max(size, VAL_BATCH), device=device)
    solver = None
    if recipe.training.head_solver == "lbfgs":
        if head.linear is None:
            raise RecipeError(
                "`training.head_solver` is 'lbfgs', for a head of one linear layer on pooled features, and this one is "
                "another; set `model.head: linear`"
            )
        criterion = recipe.criterion
        assert isinstance(criterion, CrossEntropy)  # `check_features` has seen to it
        solver = HeadSolver(head.linear, *train.whole(), criterion, count_classes(prepared, "train"))
    return OnFeatures(replace(state, model=head), replace(plan, train=train, val=val, solver=solver), features)


def asked_beside(features: OnFeatures, asked: Runtime) -> Runtime:
    """Return what is left open for a trial: threads and memory format are not, once features were made with them."""
    if features.features is None:
        return asked
    settled = features.plan.recipe.runtime
    return msgspec.structs.replace(asked, threads=settled.threads, memory_format=settled.memory_format)
