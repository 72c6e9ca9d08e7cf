"""The recipe's sections: data, split, transform, training, runtime."""

from typing import Annotated, Literal

from msgspec import Meta

from netwright.config.masks import MOST_CLASSES, check_value
from netwright.config.schema import Section
from netwright.errors import RecipeError, did_you_mean, listed

# Fixed-length tuples are not used in unions: msgspec 0.22 crashes when a list meets `int | tuple[int, int]`.
Count = Annotated[int, Meta(ge=1)]
Statistic = float | tuple[float, ...]
Seed = Annotated[int, Meta(ge=0, le=2**62)]


class Data(Section, frozen=True, kw_only=True):
    """Which labelled images, and what is to be said of them.

    `task`: classification (one class an image), regression (one number an image, from a table) or segmentation (one
    class a pixel, from masks); `auto` is told by the data. `masks` is the folder of masks, files of the images'
    names (the source itself where it holds images/ and masks/), or the column of a table. `mask_classes` says which
    value of a mask is which class, a gray level, the number of a palette or "#rrggbb" (null: as they are found),
    and `mask_ignore` which values belong to none. `source` is a name, a folder, an `.npz` or a table of paths and
    labels (.csv, .tsv, .parquet); `root` is where named sets lie already (read, never written), and where a table's
    paths begin (null: at its own folder); `path_column`, `label_column` and `split_column` are the table's (null:
    told by their names and look). `target` makes the rows of a table the samples: the column to learn, or `A > B`
    of two of its columns; `columns` says what others are (number, boolean, date, category, ignore; by their look
    where it is silent), and `ahead` takes the target of the row so many later in time. `classes` keeps some classes
    only, renumbered in that order; `image_size` in pixels, one number or (height, width); `channels` 1 or 3 (null:
    the data's own); `value_range` declares what floats (or other integers) mean, (black, white); `on_bad_image`
    says whether a damaged file ends the run before it begins or is left out and listed. `group_by` keeps images
    together that belong together (patient, video, plate): a regex with one capturing group, searched in the path of
    each file, or the key of an `.npz` or column of a table with one value an image. `allow_leaks` trains although
    given splits have equal images or groups in common, and says so in every result. `golden` says which images the
    bundle carries to check its answers with, `real` ones (whoever has the bundle sees them) or `synthetic` blends
    of them; `auto` takes real ones of the named public sets only."""

    source: str = "digits"
    task: Literal["auto", "classification", "regression", "segmentation"] = "auto"
    root: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    target: str | None = None
    columns: dict[str, str] | None = None
    ahead: Annotated[int, Meta(ge=0)] = 0
    masks: str | None = None
    mask_classes: dict[str, int | str] | None = None
    mask_ignore: tuple[int | str, ...] = ()
    classes: tuple[str, ...] | None = None
    image_size: Count | tuple[Count, ...] | None = None
    channels: Literal[1, 3] | None = None
    value_range: tuple[float, ...] | None = None
    on_bad_image: Literal["fail", "skip"] = "fail"
    group_by: str | None = None
    allow_leaks: bool = False
    golden: Literal["auto", "real", "synthetic", "none"] = "auto"

    def check(self, where: str) -> None:
        self._check_masks(where)
        if isinstance(self.image_size, tuple) and len(self.image_size) != 2:
            raise RecipeError(
                f"`{where}.image_size` is {list(self.image_size)}; expected one number or [height, width]"
            )
        if self.target is None and (self.columns or self.ahead):
            field = "columns" if self.columns else "ahead"
            raise RecipeError(
                f"`{where}.{field}` is for the rows of a table, which `{where}.target` asks for; name the column to "
                "learn: --target COLUMN"
            )
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise RecipeError(f"`{where}.classes` names a class twice: {listed(self.classes)}; name each once")
        if self.classes is not None and len(self.classes) < 2:
            raise RecipeError(f"`{where}.classes` names {len(self.classes)} class; a classifier needs two or more")
        if self.value_range is not None and (len(self.value_range) != 2 or self.value_range[0] >= self.value_range[1]):
            raise RecipeError(f"`{where}.value_range` is {self.value_range}; expected (black, white), black < white")

    def _check_masks(self, where: str) -> None:
        for name, value in (self.mask_classes or {}).items():
            check_value(value, f"{where}.mask_classes.{name}")
        for value in self.mask_ignore:
            check_value(value, f"{where}.mask_ignore")
        given = list((self.mask_classes or {}).values())
        if self.mask_classes is not None and (len(set(given)) != len(given) or not 2 <= len(given) <= MOST_CLASSES):
            raise RecipeError(
                f"`{where}.mask_classes` is {self.mask_classes}; expected 2 to {MOST_CLASSES} classes, each with a "
                "value of its own, such as {background: 0, road: 255}"
            )
        if self.masks is None and (self.mask_classes or self.mask_ignore):
            raise RecipeError(f"`{where}.mask_classes` is about masks, and there are none; name them: --masks FOLDER")
        if self.masks is not None and self.task not in ("auto", "segmentation"):
            raise RecipeError(f"`{where}.masks` is given and `{where}.task` is {self.task!r}; leave one of them out")


class Split(Section, frozen=True, kw_only=True):
    """Which sample is in which split: fractions of what is not given already.

    Null means: val is 0.1 of a given train when test is given too; a lone set gives 0.7 / 0.15 / 0.15; train and val
    given have no test. `manifest` is the split.json of another run, used again instead of drawing. `by_time` is a
    table's column of time: test is then the latest rows, val those before."""

    val: Annotated[float, Meta(ge=0, lt=1)] | None = None
    test: Annotated[float, Meta(ge=0, lt=1)] | None = None
    seed: Seed = 0
    manifest: str | None = None
    by_time: str | None = None

    def check(self, where: str) -> None:
        if (self.val or 0) + (self.test or 0) >= 1:
            raise RecipeError(
                f"`{where}.val` is {self.val} and `{where}.test` is {self.test}: together they leave nothing to train "
                "on; lower one of them"
            )


class Transform(Section, frozen=True, kw_only=True):
    """Image -> tensor, the same in training, evaluation and serving.

    `normalize`: `computed` (per-channel mean and standard deviation of train), `weights` (the pretrained weights' own,
    else ImageNet's), `none` (pixels in [0, 1]), `decorrelated` (rows: numbers made uncorrelated over train) or [mean,
    std] of pixels in [0, 1]; null is `weights` where the network begins with pretrained ones that have some, and else
    `computed`. `resize` is the short side in pixels that files get before `image_size` is cut from the centre (null:
    1.15 × image_size; whole pictures, under random_resized_crop, are kept larger, and cut so in evaluation);
    `background` is the gray level under transparent pixels. `views` is test-time augmentation: the outputs for the
    image, its mirror image (and both shifted by a pixel along each diagonal) are averaged."""

    normalize: Literal["computed", "weights", "none", "custom", "decorrelated"] | tuple[Statistic, ...] | None = None
    resize: Count | None = None
    background: Annotated[int, Meta(ge=0, le=255)] = 255
    views: Literal["none", "mirror", "mirror_shift"] = "none"

    def check(self, where: str) -> None:
        if self.normalize is None or isinstance(self.normalize, str):
            return
        if len(self.normalize) != 2:
            raise RecipeError(f"`{where}.normalize` is {list(self.normalize)}; expected a word or [mean, std]")
        stds = self.normalize[1] if isinstance(self.normalize[1], tuple) else (self.normalize[1],)
        if not stds or min(stds) <= 0:
            raise RecipeError(f"`{where}.normalize` has the standard deviation {min(stds, default=None)}; expected > 0")


class Training(Section, frozen=True, kw_only=True):
    """How long and on how much at once.

    `accumulation_steps` batches make one step (one update). `fit_memory` (`batch_size: auto`) halves the batches until
    one fits in memory, with as many more of them to a step; the saved recipe has what it chose. `clip_norm` bounds the
    gradient's total norm. `on_nan`: a loss or gradient that is NaN or infinite ends the run at that step, or its update
    is left out and counted. `monitor` is any number of the history (`…loss` and `…error` are best when small, the rest
    when large); `patience` epochs without a better one end the run (null: never). `eval_every_steps` adds validations
    inside the epoch. `fast` trains in larger batches with a matching lr (config.fast); the saved recipe has what it
    chose. `resolutions` are the short sides in pixels that training images have in epoch 1, 2, …, the last one for all
    that follow. `sampling: balanced` draws every class equally often, whatever its share (see data/order.py).
    `averaging` keeps a moving average of the weights (`lookahead` also goes on from it), which is what is judged and
    kept; every `averaging_every_steps` steps it keeps `averaging_decay` of itself. `freeze` keeps the first part of the
    network as it is, in eval mode and without gradient: `backbone` (all but the head) or the name of a stage, up to and
    with which all is frozen. `unfreeze` lets frozen stages be trained later: the epoch (from 1) in which each begins by
    its name, or one more, from the last, every so many epochs. Of a frozen backbone `cached_features` computes what it
    says of every image once, and the head is trained on that (auto: wherever the result is the same); with augmentation
    so for `views` random versions of every image, of which epoch e has number (e - 1) modulo `views`. `head_solver:
    lbfgs` finds the optimum of a linear head in place of training it: epoch e is that for a penalty of 10 to the power
    of (1 - e) / 2, and `monitor` chooses among them."""

    epochs: Count = 10
    batch_size: Count = 64
    accumulation_steps: Count = 1
    fit_memory: bool = False
    on_nan: Literal["stop", "skip"] = "stop"
    clip_norm: Annotated[float, Meta(gt=0)] | None = None
    monitor: str = "val_loss"
    patience: Count | None = None
    seed: Seed = 0
    eval_every_steps: Count | None = None
    checkpoint_seconds: Annotated[float, Meta(ge=0)] = 300.0
    max_minutes: Annotated[float, Meta(gt=0)] | None = None
    fast: bool = False
    resolutions: tuple[Count, ...] = ()
    sampling: Literal["natural", "balanced"] = "natural"
    averaging: Literal["none", "ema", "lookahead"] = "none"
    averaging_decay: Annotated[float, Meta(gt=0, lt=1)] = 0.99
    averaging_every_steps: Count = 5
    freeze: str = "none"
    unfreeze: dict[str, Count] | Count | None = None
    cached_features: Literal["auto"] | bool = "auto"
    views: Count | None = None
    head_solver: Literal["optimizer", "lbfgs"] = "optimizer"

    def check(self, where: str) -> None:
        if self.unfreeze is not None and self.freeze == "none":
            raise RecipeError(
                f"`{where}.unfreeze` is {self.unfreeze} and `{where}.freeze` is 'none': nothing is frozen; set "
                f"`{where}.freeze: backbone`, or leave `unfreeze` out"
            )


class Runtime(Section, frozen=True, kw_only=True):
    """Where the run runs. `auto` is replaced in the saved recipe by what was chosen.

    `optimizer_kernel` is how the optimizer updates: one tensor after the other (plain), torch's lists of tensors
    (foreach) or one kernel (fused). `cuda_graphs`: a step's kernels are recorded and launched as one. `trial`: threads,
    memory format, kernel and graphs that are `auto` follow a short trial.
    `workers` is how many processes read your own `Dataset` (0: the main one does); they change no result. One
    that is at an item for `worker_timeout_seconds` counts as hung: it is started once more, then the item is named."""

    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Count | Literal["auto"] = "auto"
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    optimizer_kernel: Literal["auto", "plain", "foreach", "fused"] = "auto"
    cuda_graphs: Literal["auto"] | bool = "auto"
    trial: bool = True
    workers: Annotated[int, Meta(ge=0)] | Literal["auto"] = "auto"
    worker_timeout_seconds: Annotated[float, Meta(gt=0)] = 120.0
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
