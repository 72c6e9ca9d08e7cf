"""The recipe: one frozen, typed object that says what a run is. No torch here, so that checking it is instant."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from netwright.config.augmentations import AUGMENTATIONS, Augmentation
from netwright.config.models import MODELS, Cnn, CustomModel, Model, TorchvisionModel
from netwright.config.optimization import (
    CRITERIA,
    LR_SCHEDULERS,
    OPTIMIZERS,
    Adam,
    Bce,
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
from netwright.config.schema import Section, convert_section
from netwright.errors import RecipeError, did_you_mean, listed

# Fixed-length tuples are not used in unions: msgspec 0.22 crashes when a list meets `int | tuple[int, int]`.
Count = Annotated[int, Meta(ge=1)]
Statistic = float | tuple[float, ...]
PARTS = {
    "model": MODELS,
    "criterion": CRITERIA,
    "optimizer": OPTIMIZERS,
    "lr_scheduler": LR_SCHEDULERS,
    "augmentation": AUGMENTATIONS,
}
Seed = Annotated[int, Meta(ge=0, le=2**62)]


class Data(Section, frozen=True, kw_only=True):
    """Which labelled images.

    `source` is a name, a folder or an `.npz`; `root` where named sets lie already (read, never written); `classes`
    keeps some classes only, renumbered in that order; `image_size` in pixels, one number or (height, width);
    `channels` 1 or 3 (null: the data's own); `value_range` declares what floats (or other integers) mean, (black,
    white); `on_bad_image` says whether a damaged file ends the run before it begins or is left out and listed.
    `group_by` keeps images together that belong together (patient, video, plate): a regex with one capturing group,
    searched in the path of each file, or the key of an `.npz` with one value an image. `allow_leaks` trains although
    given splits have equal images or groups in common, and says so in every result."""

    source: str = "digits"
    root: str | None = None
    classes: tuple[str, ...] | None = None
    image_size: Count | tuple[Count, ...] | None = None
    channels: Literal[1, 3] | None = None
    value_range: tuple[float, ...] | None = None
    on_bad_image: Literal["fail", "skip"] = "fail"
    group_by: str | None = None
    allow_leaks: bool = False

    def check(self, where: str) -> None:
        if isinstance(self.image_size, tuple) and len(self.image_size) != 2:
            raise RecipeError(
                f"`{where}.image_size` is {list(self.image_size)}; expected one number or [height, width]"
            )
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise RecipeError(f"`{where}.classes` names a class twice: {listed(self.classes)}; name each once")
        if self.classes is not None and len(self.classes) < 2:
            raise RecipeError(f"`{where}.classes` names {len(self.classes)} class; a classifier needs two or more")
        if self.value_range is not None and (len(self.value_range) != 2 or self.value_range[0] >= self.value_range[1]):
            raise RecipeError(f"`{where}.value_range` is {self.value_range}; expected (black, white), black < white")


class Split(Section, frozen=True, kw_only=True):
    """Which sample is in which split: fractions of what is not given already.

    Null means: val is 0.1 of a given train when test is given too; a lone set gives 0.7 / 0.15 / 0.15; train and val
    given have no test. `manifest` is the split.json of another run, used again instead of drawing."""

    val: Annotated[float, Meta(ge=0, lt=1)] | None = None
    test: Annotated[float, Meta(ge=0, lt=1)] | None = None
    seed: Seed = 0
    manifest: str | None = None

    def check(self, where: str) -> None:
        if (self.val or 0) + (self.test or 0) >= 1:
            raise RecipeError(
                f"`{where}.val` is {self.val} and `{where}.test` is {self.test}: together they leave nothing to train "
                "on; lower one of them"
            )


class Transform(Section, frozen=True, kw_only=True):
    """Image -> tensor, the same in training, evaluation and serving.

    `normalize`: `computed` (per-channel mean and standard deviation of train), `weights` (the pretrained weights' own),
    `none` (pixels in [0, 1]) or [mean, std] of pixels in [0, 1]. `resize` is the short side in pixels that files get
    before `image_size` is cut from the centre (null: 1.15 × image_size; whole pictures, under random_resized_crop, are
    kept larger, and cut so in evaluation); `background` is the gray level under transparent pixels. `views` is
    test-time augmentation: the outputs for the image, its mirror image (and both shifted by a pixel along each
    diagonal) are averaged."""

    normalize: Literal["computed", "weights", "none", "custom"] | tuple[Statistic, ...] = "computed"
    resize: Count | None = None
    background: Annotated[int, Meta(ge=0, le=255)] = 255
    views: Literal["none", "mirror", "mirror_shift"] = "none"

    def check(self, where: str) -> None:
        if isinstance(self.normalize, str):
            return
        if len(self.normalize) != 2:
            raise RecipeError(f"`{where}.normalize` is {list(self.normalize)}; expected a word or [mean, std]")
        stds = self.normalize[1] if isinstance(self.normalize[1], tuple) else (self.normalize[1],)
        if not stds or min(stds) <= 0:
            raise RecipeError(f"`{where}.normalize` has the standard deviation {min(stds, default=None)}; expected > 0")


class Training(Section, frozen=True, kw_only=True):
    """How long and on how much at once.

    `accumulation_steps` batches make one step (one update). `clip_norm` bounds the gradient's total norm. `monitor` is
    any number of the history (`…loss` and `…error` are best when small, the rest when large); `patience` epochs
    without a better one end the run (null: never). `eval_every_steps` adds validations inside the epoch. `fast` trains
    in larger batches with a matching lr (config.fast); the saved recipe has what it chose.
    `resolutions` are the short sides in pixels that training images have in epoch 1, 2, …, the last one for all that
    follow. `averaging` keeps a moving average of the weights (`lookahead` also goes on from it), which is what is
    judged and kept; every `averaging_every_steps` steps it keeps `averaging_decay` of itself."""

    epochs: Count = 10
    batch_size: Count = 64
    accumulation_steps: Count = 1
    clip_norm: Annotated[float, Meta(gt=0)] | None = None
    monitor: str = "val_loss"
    patience: Count | None = None
    seed: Seed = 0
    eval_every_steps: Count | None = None
    checkpoint_seconds: Annotated[float, Meta(ge=0)] = 300.0
    max_minutes: Annotated[float, Meta(gt=0)] | None = None
    fast: bool = False
    resolutions: tuple[Count, ...] = ()
    averaging: Literal["none", "ema", "lookahead"] = "none"
    averaging_decay: Annotated[float, Meta(gt=0, lt=1)] = 0.99
    averaging_every_steps: Count = 5


class Runtime(Section, frozen=True, kw_only=True):
    """Where the run runs. `auto` is replaced in the saved recipe by what was chosen.

    `optimizer_kernel` is how the optimizer updates: one tensor after the other (plain), torch's lists of tensors
    (foreach) or one kernel (fused). `trial`: threads, memory format and kernel that are `auto` follow a short trial.
    `workers` is how many processes read your own `Dataset` (0: the main one does); they change no result."""

    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Count | Literal["auto"] = "auto"
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    optimizer_kernel: Literal["auto", "plain", "foreach", "fused"] = "auto"
    trial: bool = True
    workers: Annotated[int, Meta(ge=0)] | Literal["auto"] = "auto"
    exact: bool = False

    def check(self, where: str) -> None:
        known = ("auto", "cpu", "cuda", "mps")
        kind, _, number = self.device.partition(":")
        if kind not in known or (number and not (kind == "cuda" and number.isdecimal())) or self.device.endswith(":"):
            raise RecipeError(f"`{where}.device` is {self.device!r}{did_you_mean(kind, known)}; known: {listed(known)}")
        if self.exact and self.precision == "bf16":
            raise RecipeError(f"`{where}.exact` computes in fp32 and `{where}.precision` is bf16; give up one of them")


SECTIONS: dict[str, type[Section]] = {
    "data": Data,
    "split": Split,
    "transform": Transform,
    "training": Training,
    "runtime": Runtime,
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
    if key in SECTIONS:
        return convert_section(SECTIONS[key], value, key)
    if key != "augmentation":
        return PARTS[key].convert(value, key)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise RecipeError(f"`augmentation` is {value!r}; expected a list, such as [{{name: horizontal_flip}}]")
    return tuple(AUGMENTATIONS.convert(item, f"augmentation[{place}]") for place, item in enumerate(value))


def check_recipe(recipe: Recipe) -> None:
    """Raise RecipeError for parts that are each right and do not go together."""
    check_augmentation(recipe.augmentation)
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


def check_augmentation(augmentation: tuple[Augmentation, ...]) -> None:
    """Raise RecipeError for a random resized crop that is not the first: it cuts from whole pictures of any size."""
    late = [place for place, part in enumerate(augmentation) if place and part.name == "random_resized_crop"]
    if late:
        raise RecipeError(
            f"`augmentation[{late[0]}]` is random_resized_crop, which cuts its part from the whole picture; put it "
            "first, once"
        )


def output_for(criterion: Criterion) -> Literal["logits", "log_probabilities", "probabilities"]:
    """Return what the network must give for a criterion."""
    if isinstance(criterion, Nll):
        return "log_probabilities"
    return "probabilities" if isinstance(criterion, Bce) else "logits"


def num_outputs_for(criterion: Criterion, num_classes: int) -> int:
    """Return the width of the network's output: one for the binary criteria, else one a class.

    Raises RecipeError when a binary criterion meets another number of classes."""
    if not isinstance(criterion, (Bce, BceWithLogits)):
        return num_classes
    if num_classes != 2:
        raise RecipeError(
            f"`criterion.name` is {criterion.name!r}, for two classes, and the data have {num_classes}; use "
            "cross_entropy, or keep two classes with `data.classes`"
        )
    return 1


def custom_parts(recipe: Recipe) -> list[str]:
    """Return the sections whose part was the user's own object, which a file can't hold."""
    custom = [("model", CustomModel), ("criterion", CustomCriterion), ("optimizer", CustomOptimizer)]
    names = [name for name, kind in custom if isinstance(getattr(recipe, name), kind)]
    return names + (["transform"] if recipe.transform.normalize == "custom" else [])
