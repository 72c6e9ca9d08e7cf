"""Names and arguments of the built-in criteria, optimizers and learning-rate schedulers."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from netwright.config.schema import Kind, Part, Section
from netwright.errors import RecipeError

Positive = Annotated[float, Meta(gt=0)]
Rate = Positive
NotNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Beta = Annotated[float, Meta(ge=0, lt=1)]
Steps = Annotated[int, Meta(ge=0)]
Epochs = Annotated[int, Meta(ge=1)]
ClassWeights = Literal["balanced"] | tuple[Positive, ...] | None


class Criterion(Part, frozen=True, kw_only=True):
    """The function whose mean over a batch is made small."""

    kind: ClassVar[str] = "criterion"
    tasks: ClassVar[tuple[str, ...]] = ("classification",)


class CrossEntropy(Criterion, frozen=True, kw_only=True):
    """Cross-entropy of logits (B, K) and class indices (B,); of masks the mean over pixels."""

    tasks: ClassVar[tuple[str, ...]] = ("classification", "segmentation")
    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Fraction = 0.0
    class_weights: ClassWeights = None


class Nll(Criterion, frozen=True, kw_only=True):
    """Negative log-likelihood of log-probabilities (B, K): the network ends in LogSoftmax."""

    name: Literal["nll"] = "nll"
    class_weights: ClassWeights = None


class Bce(Criterion, frozen=True, kw_only=True):
    """Binary cross-entropy of one probability (B, 1): two classes, and the network ends in a sigmoid."""

    name: Literal["bce"] = "bce"
    class_weights: ClassWeights = None


class BceWithLogits(Criterion, frozen=True, kw_only=True):
    """Binary cross-entropy of one logit (B, 1), for two classes; of masks the mean over pixels."""

    tasks: ClassVar[tuple[str, ...]] = ("classification", "segmentation")
    name: Literal["bce_with_logits"] = "bce_with_logits"
    class_weights: ClassWeights = None


class Mse(Criterion, frozen=True, kw_only=True):
    """Mean squared error of one number (B, 1), in standard deviations of train's targets."""

    tasks: ClassVar[tuple[str, ...]] = ("regression",)
    name: Literal["mse"] = "mse"


class Mae(Criterion, frozen=True, kw_only=True):
    """Mean absolute error of one number (B, 1), in standard deviations of train's targets: few outliers pull less."""

    tasks: ClassVar[tuple[str, ...]] = ("regression",)
    name: Literal["mae"] = "mae"


class Huber(Criterion, frozen=True, kw_only=True):
    """Squared error up to `delta` standard deviations of train's targets, and a straight line beyond (Huber 1964)."""

    tasks: ClassVar[tuple[str, ...]] = ("regression",)
    name: Literal["huber"] = "huber"
    delta: Positive = 1.0


class Dice(Criterion, frozen=True, kw_only=True):
    """1 less the mean over classes of Dice's coefficient, of probabilities over all pixels of a batch: small classes
    count like large ones (Milletari et al. 2016). `smooth` is added above and below the line."""

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    name: Literal["dice"] = "dice"
    smooth: Positive = 1.0
    class_weights: ClassWeights = None


class CrossEntropyDice(Criterion, frozen=True, kw_only=True):
    """Cross-entropy plus `dice_weight` times Dice: steady gradients and a measure of regions."""

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    name: Literal["cross_entropy_dice"] = "cross_entropy_dice"
    dice_weight: Positive = 1.0
    smooth: Positive = 1.0
    class_weights: ClassWeights = None


class BceDice(Criterion, frozen=True, kw_only=True):
    """Binary cross-entropy of one logit plus `dice_weight` times Dice, for two classes."""

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    name: Literal["bce_dice"] = "bce_dice"
    dice_weight: Positive = 1.0
    smooth: Positive = 1.0
    class_weights: ClassWeights = None


class Focal(Criterion, frozen=True, kw_only=True):
    """Cross-entropy of pixels times (1 - p)^`gamma`, p the probability of the pixel's class: easy pixels count little
    (Lin et al. 2017). `class_weights` are its alpha."""

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    name: Literal["focal"] = "focal"
    gamma: NotNegative = 2.0
    class_weights: ClassWeights = None


class CustomCriterion(Criterion, frozen=True, kw_only=True):
    """The user's own function (outputs, targets) -> mean loss, given as an object."""

    tasks: ClassVar[tuple[str, ...]] = ("classification", "regression", "segmentation")
    name: Literal["custom"] = "custom"
    type: str = ""


CRITERIA = Kind(
    "criterion",
    CrossEntropy,
    Nll,
    Bce,
    BceWithLogits,
    Dice,
    CrossEntropyDice,
    BceDice,
    Focal,
    Mse,
    Mae,
    Huber,
    CustomCriterion,
)


class Group(Section, frozen=True, kw_only=True):
    """Some parameters by name (`head.*`; `*` stands for anything) and what is different for them.

    With `epochs` their lr runs through the whole schedule in the first so many epochs; then they are frozen."""

    parameters: str
    lr: Rate | None = None
    weight_decay: NotNegative | None = None
    epochs: Epochs | None = None


class Optimizer(Part, frozen=True, kw_only=True):
    """How gradients change the weights; arguments are torch's own. A parameter belongs to the first of `groups` that
    its name fits, and else to no group.
    Every stage before the head has `stage_lr_factor` times the lr of the next one (Howard & Ruder 2018: 1 / 2.6)."""

    kind: ClassVar[str] = "optimizer"
    groups: tuple[Group, ...] = ()
    stage_lr_factor: Annotated[float, Meta(gt=0, le=1)] = 1.0


class Sgd(Optimizer, frozen=True, kw_only=True):
    """Stochastic gradient descent, with (Nesterov) momentum."""

    name: Literal["sgd"] = "sgd"
    lr: Rate = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False
    weight_decay: NotNegative = 0.0

    def check(self, where: str) -> None:
        if self.nesterov and self.momentum == 0:
            raise RecipeError(f"`{where}.nesterov` needs a momentum; set `{where}.momentum`, for example to 0.9")


class Adam(Optimizer, frozen=True, kw_only=True):
    """Adam (Kingma & Ba 2015); `weight_decay` is an L2 penalty, see adamw for the decoupled one."""

    name: Literal["adam"] = "adam"
    lr: Rate = 3e-4
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: NotNegative = 0.0


class AdamW(Optimizer, frozen=True, kw_only=True):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = "adamw"
    lr: Rate = 3e-4
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: NotNegative = 0.01


class Adagrad(Optimizer, frozen=True, kw_only=True):
    """Adagrad (Duchi et al. 2011)."""

    name: Literal["adagrad"] = "adagrad"
    lr: Rate = 0.01
    lr_decay: NotNegative = 0.0
    weight_decay: NotNegative = 0.0


class Adadelta(Optimizer, frozen=True, kw_only=True):
    """Adadelta (Zeiler 2012)."""

    name: Literal["adadelta"] = "adadelta"
    lr: Rate = 1.0
    rho: Fraction = 0.9
    weight_decay: NotNegative = 0.0


class RmsProp(Optimizer, frozen=True, kw_only=True):
    """RMSprop (Tieleman & Hinton 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: Rate = 0.001
    alpha: Fraction = 0.99
    momentum: Fraction = 0.0
    weight_decay: NotNegative = 0.0


class Muon(Optimizer, frozen=True, kw_only=True):
    """Momentum, made orthogonal by Newton-Schulz steps (Jordan 2024), for every weight with two dimensions or more but
    the last; SGD with Nesterov momentum, at the lr `sgd_lr`, for the rest and for `groups`.

    `normalize_weights` first scales a weight to the norm √(its rows)."""

    name: Literal["muon"] = "muon"
    lr: Rate = 0.02
    momentum: Fraction = 0.95
    nesterov: bool = True
    weight_decay: NotNegative = 0.0
    newton_schulz_steps: Annotated[int, Meta(ge=1)] = 5
    normalize_weights: bool = False
    sgd_lr: Rate = 0.01
    sgd_momentum: Fraction = 0.9
    sgd_weight_decay: NotNegative = 0.0


class CustomOptimizer(Optimizer, frozen=True, kw_only=True):
    """The user's own function parameters -> torch.optim.Optimizer, given as an object."""

    name: Literal["custom"] = "custom"
    type: str = ""

    def check(self, where: str) -> None:
        if self.stage_lr_factor != 1:
            raise RecipeError(
                f"`{where}.stage_lr_factor` is given and your own optimizer has its own lrs; leave it out"
            )


OPTIMIZERS = Kind("optimizer", Sgd, Adam, AdamW, Adagrad, Adadelta, RmsProp, Muon, CustomOptimizer)


class LrScheduler(Part, frozen=True, kw_only=True):
    """How the learning rate of the optimizer moves; every one can begin with a linear warm-up from near 0."""

    kind: ClassVar[str] = "lr_scheduler"
    warmup_steps: Steps = 0


class Constant(LrScheduler, frozen=True, kw_only=True):
    """The optimizer's lr throughout."""

    name: Literal["constant"] = "constant"


class StepDecay(LrScheduler, frozen=True, kw_only=True):
    """Multiply the lr by `gamma` every `every_epochs` epochs."""

    name: Literal["step"] = "step"
    every_epochs: Epochs = 10
    gamma: Annotated[float, Meta(gt=0, le=1)] = 0.1


class Cosine(LrScheduler, frozen=True, kw_only=True):
    """Half a cosine from lr to `final_fraction` of it at the last step (Loshchilov & Hutter 2017)."""

    name: Literal["cosine"] = "cosine"
    final_fraction: Annotated[float, Meta(ge=0, le=1)] = 0.0


class OneCycle(LrScheduler, frozen=True, kw_only=True):
    """Up from lr / `start_division` to lr over `up_fraction` of all steps, then down to that over `end_division`
    (Smith & Topin 2018, cosine arcs, as torch's OneCycleLR without momentum cycling)."""

    name: Literal["one_cycle"] = "one_cycle"
    up_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.3
    start_division: Annotated[float, Meta(ge=1)] = 25.0
    end_division: Annotated[float, Meta(ge=1)] = 1e4

    def check(self, where: str) -> None:
        if self.warmup_steps:
            raise RecipeError(
                f"`{where}.warmup_steps` is {self.warmup_steps} and one_cycle warms up by itself; leave it out, and "
                f"set `{where}.up_fraction`"
            )


class LinearLr(LrScheduler, frozen=True, kw_only=True):
    """A triangle of straight lines: from `start_fraction` of lr up to lr over `up_fraction` of all steps, then down to
    `final_fraction` of it."""

    name: Literal["linear"] = "linear"
    up_fraction: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    start_fraction: Annotated[float, Meta(ge=0, le=1)] = 0.0
    final_fraction: Annotated[float, Meta(ge=0, le=1)] = 0.0

    def check(self, where: str) -> None:
        if self.warmup_steps and self.up_fraction:
            raise RecipeError(
                f"`{where}.warmup_steps` is {self.warmup_steps} and `{where}.up_fraction` is {self.up_fraction:g}: two "
                "ways to warm up; leave one of them out"
            )


class Plateau(LrScheduler, frozen=True, kw_only=True):
    """Multiply the lr by `factor` when `training.monitor` has not improved for more than `patience` epochs."""

    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    patience: Steps = 10
    threshold: NotNegative = 1e-4


LR_SCHEDULERS = Kind("lr_scheduler", Constant, StepDecay, Cosine, OneCycle, LinearLr, Plateau)
