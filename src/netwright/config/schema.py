"""From untyped mappings to frozen, validated sections and named parts, with errors that name the field.

A *section* is a fixed group of fields (`training`). A *part* is one of several alternatives chosen by its `name` field
(`optimizer: {name: sgd, momentum: 0.9}`). This room only declares names and arguments; the rooms above register the
builders, and a contract test holds the two together.
"""

import math
import re
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from netwright.errors import RecipeError, did_you_mean, listed

S = TypeVar("S", bound="Section")


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen group of typed fields; unknown fields are refused."""

    def check(self, where: str) -> None:
        """Raise RecipeError for values that fit their types and still make no sense together."""


class Part(Section, frozen=True, kw_only=True):
    """One named alternative of a kind of part; subclasses narrow `name` to one literal."""

    kind: ClassVar[str] = ""
    name: str


class Kind:
    """The known parts of one kind ("model", "optimizer", …) by name."""

    def __init__(self, kind: str, *parts: type[Part], fallback: type[Part] | None = None) -> None:
        self.kind = kind
        self.parts = {str(msgspec.structs.fields(part)[0].default): part for part in parts}
        self.fallback = fallback  # takes every other name, checked later, once torch is loaded

    def convert(self, value: object, where: str) -> Part:
        """Build the part that `value` (a mapping with `name`, or just a name) describes.

        Raises RecipeError when the name is unknown or an argument does not fit.
        """
        if isinstance(value, Part):
            return value
        mapping = {"name": value} if isinstance(value, str) else value
        if not isinstance(mapping, Mapping) or not isinstance(mapping.get("name"), str):
            raise RecipeError(
                f"`{where}` is {value!r}; expected a name or a mapping with `name`, one of: {listed(self.parts, 20)}"
            )
        part = self.parts.get(mapping["name"], self.fallback)
        if part is None:
            raise RecipeError(
                f"`{where}.name` is {mapping['name']!r}{did_you_mean(mapping['name'], self.parts)}; "
                f"known: {listed(self.parts, 20)}"
            )
        return convert_section(part, mapping, where)


def convert_section(section: type[S], value: object, where: str) -> S:
    """Build a `section` from a mapping. Raises RecipeError that names the field by its dotted path."""
    if isinstance(value, section):
        return value
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        raise RecipeError(f"`{where}` is {value!r}; expected a mapping of fields, such as {{{_example(section)}}}")
    known = [field.name for field in msgspec.structs.fields(section)]
    for key in value:
        if key not in known:
            raise RecipeError(
                f"`{where}.{key}` is not a field of the recipe{did_you_mean(str(key), known)}; "
                f"`{where}` has: {listed(known, 20)}"
            )
    try:
        made = msgspec.convert(value, section, strict=True)
    except msgspec.ValidationError as error:
        raise RecipeError(_explain(str(error), value, where, section)) from None
    _check_finite(msgspec.to_builtins(made), where)
    made.check(where)
    return made


def _check_finite(value: object, where: str) -> None:
    """Raise RecipeError, with its dotted path, for the first number in nested mappings and lists that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"`{where}` is {value}; expected a finite number")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_finite(inner, f"{where}.{key}")
    if isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            _check_finite(inner, f"{where}[{place}]")


def _explain(message: str, value: Mapping[str, Any], where: str, section: type[Section]) -> str:
    """Turn msgspec's "Expected `int` >= 1 - at `$.epochs`" into a sentence that names field and value."""
    found = re.search(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", message, re.DOTALL)
    what, path = (found["what"], found["path"] or "") if found else (message, "")
    given: Any = value
    for key in re.findall(r"[^.\[\]]+", path):
        try:
            given = given[key] if isinstance(given, Mapping) else given[int(key)]
        except (KeyError, IndexError, TypeError, ValueError):
            return f"`{where}{path}`: {what}"
    if what.startswith("Invalid enum value"):
        words = _choices(typing.get_type_hints(section)[re.split(r"[.\[]", path.lstrip("."))[0]])
        return f"`{where}{path}` is {given!r}{did_you_mean(str(given), words)}; expected one of: {listed(words, 20)}"
    what = re.sub(r", got `[^`]*`$", "", what)
    for type_name, plain in _WORDS.items():
        what = what.replace(f"`{type_name}`", plain)
    return f"`{where}{path}` is {given!r}; {what[:1].lower()}{what[1:]}"


def _choices(field_type: Any) -> list[str]:
    """Return the words that a field's type allows, from the Literals in it."""
    if typing.get_origin(field_type) is typing.Literal:
        return [str(word) for word in typing.get_args(field_type)]
    return [word for part in typing.get_args(field_type) for word in _choices(part)]


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def _example(section: type[Section]) -> str:
    first = msgspec.structs.fields(section)[0]
    return f"{first.name}: …"
