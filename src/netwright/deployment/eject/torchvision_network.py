"""One of torchvision's networks as source: its constructor, and every layer that is another one here."""

from typing import Any

import torchvision.models
from torch import nn

from netwright.config.models import AlexNet, TorchvisionModel
from netwright.deployment.eject.code import Call, call, named
from netwright.deployment.eject.layers import CONCAT_POOL, LAYERS, MAXOUT, NetworkCode, layer_call
from netwright.errors import InputError
from netwright.models.heads import ConcatPool
from netwright.models.layers import Maxout
from netwright.models.torchvision_models import fixed_arguments


def torchvision_code(
    model: AlexNet | TorchvisionModel, network: nn.Module, image_size: tuple[int, int], num_outputs: int
) -> NetworkCode:
    """Write the constructor, with published weights where the run began with them, and what differs from it."""
    name, made = model.name, NetworkCode([], imports=["from torchvision import models"])
    shown: tuple[str, ...]
    arguments: dict[str, Any] = {"dropout": model.dropout} if isinstance(model, AlexNet) else {}
    if isinstance(model, TorchvisionModel):
        arguments = {**fixed_arguments(name, image_size), **model.arguments}
    if is_published(name, model.weights) and "aux_logits" not in arguments:
        made.pretrained = "DEFAULT" if model.weights == "default" else model.weights
        shown = ("weights=weights",)
        plain = torchvision.models.get_model(name, weights=None, **arguments)
    else:
        shown, arguments = (), {"num_classes": num_outputs, **arguments}
        plain = torchvision.models.get_model(name, weights=None, **arguments)
        if model.weights != "none":
            made.unpublished = model.weights
    constructor = call(f"models.{name}", **arguments)
    parts = (*shown, *constructor.parts)
    changes = _changes("", network, plain, made)
    begin = "return " if not changes else "model = "
    made.build = [*Call(constructor.name, parts).lines(4, begin), *changes, *(["    return model"] if changes else [])]
    return made


def is_published(name: str, weights: str) -> bool:
    """Say whether torchvision has such weights for its network `name`."""
    try:
        known = [each.name for each in torchvision.models.get_model_weights(name)]
    except ValueError:
        return False
    return weights == "default" or weights in known


def _changes(path: str, ours: nn.Module, theirs: nn.Module, made: NetworkCode) -> list[str]:
    """Return the lines that turn torchvision's module at a path into ours."""
    if type(ours) is not type(theirs) or (not list(ours.children()) and str(ours) != str(theirs)):
        if type(ours) is type(theirs) and isinstance(ours, nn.MaxPool2d):
            return [f"    model{place(path)}.padding = {ours.padding}"]
        return _module(ours, made).lines(4, f"model{place(path)} = ")
    lines = []
    before = dict(theirs.named_children())
    if isinstance(ours, nn.Sequential) and before.keys() - dict(ours.named_children()).keys():
        return _module(ours, made).lines(4, f"model{place(path)} = ")  # it has fewer layers: a head of its own
    for name, child in ours.named_children():
        inner = f"{path}.{name}" if path else name
        if name in before:
            lines += _changes(inner, child, before[name], made)
        else:
            lines += call("add_module", name, _module(child, made)).lines(4, f"model{place(path)}.")
    return lines


def _module(module: nn.Module, made: NetworkCode) -> Call:
    """Write a module: a layer, or a Sequential of some, under the names that they have."""
    if isinstance(module, (ConcatPool, Maxout)):
        source = CONCAT_POOL if isinstance(module, ConcatPool) else MAXOUT
        made.classes += [] if source in made.classes else [source]
        return Call(type(module).__name__)
    if isinstance(module, nn.Sequential):
        children = dict(module.named_children())
        if all(name.isdigit() for name in children):
            return Call("nn.Sequential", tuple(_module(child, made) for child in children.values()))
        made.imports += ["from collections import OrderedDict"]
        parts = tuple(named(name, _module(child, made)) for name, child in children.items())
        return Call("nn.Sequential", (Call("OrderedDict", parts),))
    if type(module) not in LAYERS:
        raise InputError(f"the network has a {type(module).__name__} of its own, which eject can't write")
    return layer_call(module)


def place(path: str) -> str:
    """Return features.0.1 as .features[0][1]."""
    if not path:
        return ""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))
