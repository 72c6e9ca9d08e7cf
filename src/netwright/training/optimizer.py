"""Optimizers by name: torch's own, in the quickest implementation that the device has, and Muon."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import nn

from netwright.config.optimization import (
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Group,
    Optimizer,
    RmsProp,
    Sgd,
)
from netwright.config.optimization import Muon as MuonArguments
from netwright.errors import RecipeError, listed
from netwright.training.eager import without_compiler
from netwright.training.muon import Muon

Kernel = Literal["plain", "foreach", "fused"]
OPTIMIZER_CLASSES: dict[type[Optimizer], type[torch.optim.Optimizer]] = {
    Sgd: torch.optim.SGD,
    Adam: torch.optim.Adam,
    AdamW: torch.optim.AdamW,
    Adagrad: torch.optim.Adagrad,
    Adadelta: torch.optim.Adadelta,
    RmsProp: torch.optim.RMSprop,
    MuonArguments: Muon,
}
_HAVE_FUSED = (Sgd, Adam, AdamW, Adagrad)
Named = tuple[str, nn.Parameter]


def choose_kernel(optimizer: Optimizer, device: torch.device, asked: str, *, exact: bool) -> Kernel:
    """Return how the optimizer will update; `auto` is fused where there is such a kernel, and plain in exact runs.

    Fused updates all in one kernel: 0.96 -> 0.83 s an epoch of Adam on a small MLP; the last bits differ from the plain
    loop's. Raises RecipeError when fused is asked for and there is none."""
    known = kernels(optimizer, device)
    if asked == "auto":
        return "plain" if exact else known[0]
    for kernel in known:
        if kernel == asked:
            return kernel
    raise RecipeError(
        f"`runtime.optimizer_kernel` is {asked!r} and {optimizer.name} has none on {device.type}; "
        f"known: {listed(known)}"
    )


def kernels(optimizer: Optimizer, device: torch.device) -> tuple[Kernel, ...]:
    """Return the implementations that torch has of an optimizer on a device, the quickest by reputation first."""
    if type(optimizer) not in OPTIMIZER_CLASSES or isinstance(optimizer, MuonArguments):
        return ("plain",)
    # Adagrad has no fused kernel on CUDA
    if (
        isinstance(optimizer, _HAVE_FUSED)
        and device.type in ("cpu", "cuda")
        and not (isinstance(optimizer, Adagrad) and device.type == "cuda")
    ):
        return ("fused", "foreach", "plain")
    return ("foreach", "plain") if device.type == "cuda" else ("plain", "foreach")


def build_optimizer(
    optimizer: Optimizer,
    parameters: Iterable[Named],
    *,
    kernel: Kernel,
    bf16: bool = False,
    depths: Mapping[str, int] | None = None,
) -> torch.optim.Optimizer:
    """Build the optimizer over the named parameters that get gradients, in torch's groups.

    `bf16`: the network computes in it, and so does Muon. `depths` says how many stages each parameter is away from the
    head: its lr has so many times the factor `stage_lr_factor`. Raises RecipeError when nothing is trainable, or a
    group's name fits no trainable parameter."""
    trainable = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    if not trainable:
        raise RecipeError("no parameter of the network is trainable: all are frozen; unfreeze some layers")
    if type(optimizer) not in OPTIMIZER_CLASSES:
        raise RecipeError("`optimizer.name` is 'custom', which only Python can give: nw.train(…, optimizer=function)")
    rest, groups = _grouped(optimizer.groups, trainable)
    if not rest and all("epochs" in group for group in groups):
        raise RecipeError(
            "every parameter is in one of `optimizer.groups` with `epochs`, after which nothing would be trained; "
            "leave `epochs` out of one of them"
        )
    if isinstance(optimizer, MuonArguments):
        output_layer = [name for name, parameter in trainable if parameter.dim() >= 2][-1:]
        dtype = torch.bfloat16 if bf16 else torch.float32
        return _build_muon(optimizer, _staged(optimizer, rest, depths), groups, output_layer, dtype)
    arguments = _arguments(optimizer)
    # both said: torch takes foreach by itself on CUDA where neither is, and refuses both at once
    arguments |= {"fused": True} if kernel == "fused" else {"foreach": kernel == "foreach"}
    given = [
        {"params": [parameter for _, parameter in named]} | ({"lr": arguments["lr"] * factor} if factor != 1 else {})
        for factor, named in _staged(optimizer, rest, depths)
    ]
    return without_compiler(OPTIMIZER_CLASSES[type(optimizer)], [*given, *groups], arguments)


def _grouped(groups: Sequence[Group], trainable: Sequence[Named]) -> tuple[list[Named], list[dict[str, Any]]]:
    """Deal the parameters out: what no group names, and torch's groups in the recipe's order."""
    rest = list(trainable)
    made = []
    for place, group in enumerate(groups):
        chosen = [(name, parameter) for name, parameter in rest if fnmatchcase(name, group.parameters)]
        if not chosen:
            raise RecipeError(
                f"`optimizer.groups[{place}].parameters` is {group.parameters!r}, which no trainable parameter is "
                f"called (that an earlier group has not taken); there are: {listed([name for name, _ in rest], 12)}"
            )
        names = {name for name, _ in chosen}
        rest = [(name, parameter) for name, parameter in rest if name not in names]
        own = {field: getattr(group, field) for field in ("lr", "weight_decay", "epochs")}
        made.append(
            {"params": [parameter for _, parameter in chosen]} | {k: v for k, v in own.items() if v is not None}
        )
    return rest, made


def _staged(
    optimizer: Optimizer, rest: Sequence[Named], depths: Mapping[str, int] | None
) -> list[tuple[float, list[Named]]]:
    """Deal parameters out by their distance from the head, the nearest first, each with its factor of the lr."""
    by_depth: dict[int, list[Named]] = {}
    for name, parameter in rest:
        by_depth.setdefault(depths[name] if depths else 0, []).append((name, parameter))
    return [(optimizer.stage_lr_factor**depth, by_depth[depth]) for depth in sorted(by_depth)]


def _build_muon(
    optimizer: MuonArguments,
    staged: Sequence[tuple[float, list[Named]]],
    groups: Sequence[dict[str, Any]],
    output_layer: list[str],
    dtype: torch.dtype,
) -> Muon:
    """Give Muon what has rows and columns, but for the network's output layer; all else is SGD's."""
    sgd = {
        **{"muon": False, "lr": optimizer.sgd_lr, "momentum": optimizer.sgd_momentum},
        **{"nesterov": True, "weight_decay": optimizer.sgd_weight_decay},
    }
    given: list[dict[str, Any]] = []
    for factor, named in staged:
        filters = [name for name, parameter in named if parameter.dim() >= 2 and name not in output_layer]
        for_muon = [parameter for name, parameter in named if name in filters]
        for_sgd = [parameter for name, parameter in named if name not in filters]
        given += [{"params": for_muon, "lr": optimizer.lr * factor}] if for_muon else []
        given += [sgd | {"params": for_sgd, "lr": optimizer.sgd_lr * factor}] if for_sgd else []
    given += [sgd | group for group in groups]
    arguments = {name: value for name, value in _arguments(optimizer).items() if not name.startswith("sgd_")}
    return Muon(given, **arguments, dtype=dtype)


def _arguments(optimizer: Optimizer) -> dict[str, Any]:
    """Return what the class takes: all but what deals out the parameters."""
    fields = (field for field in optimizer.__struct_fields__ if field not in ("name", "groups", "stage_lr_factor"))
    return {field: getattr(optimizer, field) for field in fields}
