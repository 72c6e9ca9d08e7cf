"""Criterion, optimizer and schedule as source: torch's own, with the arguments that differ from torch's defaults."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from netwright.config.optimization import (
    Bce,
    BceWithLogits,
    Constant,
    Criterion,
    CrossEntropy,
    CustomCriterion,
    CustomOptimizer,
    Muon,
    Optimizer,
)
from netwright.config.recipe import Recipe
from netwright.deployment.eject.code import Call, Raw, call
from netwright.errors import InputError

CLASSES = {
    **{"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"},
    **{"adagrad": "Adagrad", "adadelta": "Adadelta", "rmsprop": "RMSprop"},
}
CRITERIA = {
    **{"cross_entropy": "CrossEntropyLoss", "nll": "NLLLoss"},
    **{"bce": "BCELoss", "bce_with_logits": "BCEWithLogitsLoss"},
}
_NO_ARGUMENTS = ("name", "groups", "stage_lr_factor")


@dataclass
class LearningCode:
    """Lines inside of train(): criterion, optimizer and schedule, `every` step or epoch; and what is left out."""

    build: list[str]
    every: str = ""
    left_out: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)


def learning_code(
    recipe: Recipe, class_counts: Sequence[int], *, all_trainable: bool, criterion: list[str] | None = None
) -> LearningCode:
    """Write them; `criterion` are its lines where they are not those of classes. Raises InputError for the user's own
    criterion or optimizer."""
    if isinstance(recipe.criterion, CustomCriterion) or isinstance(recipe.optimizer, CustomOptimizer):
        raise InputError("the criterion or the optimizer is your own, any code, which eject can't write")
    made = LearningCode(_criterion(recipe.criterion, class_counts) if criterion is None else criterion)
    lr, lines = _optimizer(recipe.optimizer, made, all_trainable)
    made.build += lines
    made.build += _schedule(recipe, lr, made)
    made.left_out += _left_out(recipe)
    return made


def _criterion(criterion: Criterion, class_counts: Sequence[int]) -> list[str]:
    name = CRITERIA[str(getattr(criterion, "name"))]  # noqa: B009
    lines: list[str] = []
    keywords: dict[str, Any] = {}
    weights = weights_of(criterion, class_counts)
    if weights is not None:
        lines += weights_code("weights", weights, indent=4)
        keywords["weight"] = Raw("weights")
    if weights is not None and isinstance(criterion, (Bce, BceWithLogits)):
        binary = "binary_cross_entropy" + ("_with_logits" if isinstance(criterion, BceWithLogits) else "")
        return [
            *lines,
            "",
            "    def criterion(outputs, targets):  # the mean by the weights of the classes",
            "        each = weights[targets.long()]",
            f"        loss = nn.functional.{binary}",
            '        return loss(outputs, targets, each, reduction="sum") / each.sum()',
            "",
        ]
    if isinstance(criterion, CrossEntropy) and criterion.label_smoothing:
        keywords["label_smoothing"] = criterion.label_smoothing
    return [*lines, *call(f"nn.{name}", **keywords).lines(4, "criterion = ")]


def weights_code(name: str, weights: Sequence[float], indent: int = 0) -> list[str]:
    """Write a tensor of the weights on DEVICE; of many classes first a list of them, which may be laid out densely."""
    made = call("torch.tensor", list(weights), device=Raw("DEVICE")).lines(indent, f"{name} = ")
    if len(made) == 1:
        return made
    of_list = Call("", tuple(map(repr, weights)), "[]").lines(indent, f"{name} = ")
    return [*of_list, f"{' ' * indent}{name} = torch.tensor({name}, device=DEVICE)"]


def weights_of(criterion: Criterion, class_counts: Sequence[int]) -> tuple[float, ...] | None:
    """Return the weights of the classes in the criterion; balanced ones by train's counts of each."""
    weights = getattr(criterion, "class_weights", None)
    if weights != "balanced":
        return None if weights is None else tuple(weights)
    mean = sum(class_counts) / len(class_counts)
    return tuple(float(f"{mean / count:.4g}") if count else 1.0 for count in class_counts)


def _optimizer(optimizer: Optimizer, made: LearningCode, all_trainable: bool) -> tuple[float, list[str]]:
    """Return the lr and the line; Muon gives way to SGD."""
    if isinstance(optimizer, Muon):
        made.left_out.append("Muon for the weights with rows and columns: SGD with Nesterov momentum trains all")
        arguments: dict[str, Any] = {"momentum": optimizer.sgd_momentum, "nesterov": True}
        arguments |= {"weight_decay": optimizer.sgd_weight_decay} if optimizer.sgd_weight_decay else {}
        lr, name = optimizer.sgd_lr, "SGD"
    else:
        name = CLASSES[str(getattr(optimizer, "name"))]  # noqa: B009
        fields = (field for field in optimizer.__struct_fields__ if field not in _NO_ARGUMENTS)
        every = {field: getattr(optimizer, field) for field in fields}
        lr = every.pop("lr")
        defaults = getattr(torch.optim, name)([torch.nn.Parameter(torch.zeros(1))]).defaults
        arguments = {field: value for field, value in every.items() if value != defaults[field]}
    if optimizer.groups:
        made.left_out.append("the groups of parameters with an lr or weight decay of their own")
    if all_trainable:
        line = call(f"optim.{name}", Raw("model.parameters()"), lr=lr, **arguments)
        return lr, line.lines(4, "optimizer = ")
    line = call(f"optim.{name}", Raw("trainable"), lr=lr, **arguments)
    return lr, ["    trainable = [p for p in model.parameters() if p.requires_grad]", *line.lines(4, "optimizer = ")]


def _schedule(recipe: Recipe, lr: float, made: LearningCode) -> list[str]:
    """Return the lines of the schedule, and note when it steps."""
    scheduler, accumulation = recipe.lr_scheduler, recipe.training.accumulation_steps
    if isinstance(scheduler, Constant) and not scheduler.warmup_steps:
        return []
    wanted: Any = scheduler
    space = "optim.lr_scheduler"
    per_epoch = "len(train_loader)" if accumulation == 1 else f"-(-len(train_loader) // {accumulation})"
    warmup = scheduler.warmup_steps if scheduler.warmup_steps > 1 else 0
    counted = [f"    steps = EPOCHS * {per_epoch}" + (f" - {warmup}" if warmup else "")]
    steps = Raw("steps")
    made.every = "step"
    optimizer = Raw("optimizer")
    match wanted.name:
        case "plateau":
            made.every = "epoch"
            if warmup:
                made.left_out.append("the warm-up of the learning rate")
            mode = {} if recipe.training.monitor.endswith("loss") else {"mode": "max"}
            arguments = {**mode, "factor": wanted.factor, "patience": wanted.patience, "threshold": wanted.threshold}
            return call(f"{space}.ReduceLROnPlateau", optimizer, **arguments).lines(4, "scheduler = ")
        case "one_cycle":
            given = {
                "pct_start": (wanted.up_fraction, 0.3),
                "div_factor": (wanted.start_division, 25.0),
                "final_div_factor": (wanted.end_division, 1e4),
            }
            others = {name: value for name, (value, torchs) in given.items() if value != torchs}
            main = call(f"{space}.OneCycleLR", optimizer, max_lr=lr, total_steps=steps, **others, cycle_momentum=False)
        case "cosine":
            main = call(f"{space}.CosineAnnealingLR", optimizer, T_max=steps, eta_min=lr * wanted.final_fraction)
        case "step":
            counted = []
            size = Raw(f"{wanted.every_epochs} * {per_epoch}")
            main = call(f"{space}.StepLR", optimizer, step_size=size, gamma=wanted.gamma)
        case "linear":
            if not (warmup or wanted.up_fraction or wanted.final_fraction):
                factor = "lambda step: 1 - step / steps"
            else:
                made.imports += ["import numpy as np"]
                factor = f"lambda step: np.interp(step, {_corners(wanted, warmup)})"
                counted, warmup = [f"    steps = EPOCHS * {per_epoch}"], 0
            main = call(f"{space}.LambdaLR", optimizer, Raw(factor))
        case _:
            counted = []
            main = call(f"{space}.ConstantLR", optimizer, factor=1.0)
    if not warmup:
        return counted + main.lines(4, "scheduler = ")
    up = call(f"{space}.LinearLR", optimizer, start_factor=Raw(f"1 / {warmup}"), total_iters=warmup - 1)
    both = call(f"{space}.SequentialLR", optimizer, [Raw("warmup"), Raw("main")], [warmup])
    return [*counted, *up.lines(4, "warmup = "), *main.lines(4, "main = "), *both.lines(4, "scheduler = ")]


def _corners(scheduler: Any, warmup: int) -> str:
    """Return the corners of the straight lines: steps, and factors of the lr there."""
    places: list[str] = ["steps"]
    factors: list[Any] = [scheduler.final_fraction]
    if warmup:
        places, factors = ["0", f"{warmup - 1}", f"{warmup}", *places], [f"1 / {warmup}", 1, 1, *factors]
    elif scheduler.up_fraction:
        places = ["0", f"{scheduler.up_fraction} * steps", *places]
        factors = [scheduler.start_fraction, 1, *factors]
    else:
        places, factors = ["0", *places], [1, *factors]
    return f"[{', '.join(places)}], [{', '.join(map(str, factors))}]"


def _left_out(recipe: Recipe) -> list[str]:
    """Return what else of the training has no words here."""
    training = recipe.training
    said = {
        "images that grow from epoch to epoch (training.resolutions)": bool(training.resolutions),
        "the moving average of the weights (training.averaging)": training.averaging != "none",
        "classes drawn equally often (training.sampling)": training.sampling != "natural",
        "freezing up to a stage (training.freeze): all is trained": training.freeze not in ("none", "backbone"),
        "unfreezing from epoch to epoch (training.unfreeze)": training.unfreeze is not None,
        "the head's optimum by L-BFGS (training.head_solver)": training.head_solver != "optimizer",
        "the limit of time (training.max_minutes)": training.max_minutes is not None,
        "bf16, numbers of 16 bits: this script computes in fp32, with 32": recipe.runtime.precision == "bf16",
        "the lr that grows from stage to stage": recipe.optimizer.stage_lr_factor != 1,
    }
    return [what for what, is_so in said.items() if is_so]
