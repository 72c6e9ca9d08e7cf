"""What can be named in a recipe: built-in parts with their arguments and defaults, from config's declarations."""

import inspect
import re
import types
import typing
from typing import Any

import msgspec

from netwright.config.recipe import PARTS
from netwright.config.schema import Part

HIDDEN = ("custom",)  # stands for an object of the user's own; can't be asked for by name


def list_parts(kind: str) -> list[dict[str, Any]]:
    """Return the built-in parts of one kind ("model", "augmentation", "optimizer", "criterion", "lr_scheduler").

    Each record has `name`, `doc` (one line) and `arguments`, a list of `name`, `type` and `default`. No torch."""
    return [
        {"name": name, "doc": _first_sentence(part), "arguments": _arguments(part)}
        for name, part in PARTS[kind].parts.items()
        if name not in HIDDEN
    ]


def list_torchvision_models() -> list[str]:
    """Return torchvision's classification architectures by name. Loads torch."""
    from netwright.models.registry import torchvision_names

    return torchvision_names()


def list_segmentation_models() -> list[str]:
    """Return torchvision's segmentation networks by name. Loads torch."""
    from netwright.models.segmentation_models import segmentation_names

    return list(segmentation_names())


def _arguments(part: type[Part]) -> list[dict[str, Any]]:
    hints = typing.get_type_hints(part, include_extras=True)
    return [
        {"name": field.name, "type": _type_name(hints[field.name]), "default": msgspec.to_builtins(field.default)}
        for field in sorted(msgspec.structs.fields(part), key=lambda field: field.name not in part.__annotations__)
        if field.name != "name"  # its own arguments, then those that all of its kind have
    ]


def _type_name(hint: Any) -> str:
    """A type as a person writes it: "int >= 1", "relu | tanh", "list of int >= 1", "null"."""
    if hint is type(None):
        return "null"
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return f"{_type_name(arguments[0])}{_bounds(arguments[1])}"
    if origin is typing.Literal:
        return " | ".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type_name(inner) for inner in arguments)
    if origin is tuple:
        inner = _type_name(arguments[0])
        return f"list of {inner}" if arguments[-1] is Ellipsis else f"{len(arguments)} × {inner}"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"{{{', '.join(hint.__struct_fields__)}}}"
    return str(getattr(hint, "__name__", hint))


def _bounds(meta: msgspec.Meta) -> str:
    """>= 0, < 1"""
    bounds = ((">=", meta.ge), (">", meta.gt), ("<=", meta.le), ("<", meta.lt))
    text = ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
    return f" {text}" if text else ""


def _first_sentence(part: type[Part]) -> str:
    paragraph = (inspect.getdoc(part) or "").split("\n\n")[0]
    return re.split(r"(?<=\.) (?=[A-Z`])", " ".join(paragraph.split()))[0]
