"""Which value of a mask file means which class: as it was said, or as it is found in the files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from netwright.config.masks import IGNORED, MOST_CLASSES, as_value
from netwright.data.masks.values import MOST_VALUES, Array, Look, is_gray
from netwright.errors import DataError, listed

MOST_FOUND = 64  # distinct values that can be classes without anybody saying so; a smoothed mask has far more
_BINARY = ("background", "foreground")
_MOST_SAID = 12
_ENOUGH_MASKS = 5  # a value that one of so many masks has may be a slip


@dataclass(frozen=True)
class Coding:
    """`values` (K,) are those of the classes, `ignored` those of pixels that belong to none; `colours`: as 0xRRGGBB,
    else gray levels or the numbers of a palette."""

    class_names: tuple[str, ...]
    values: tuple[int, ...]
    ignored: tuple[int, ...] = ()
    colours: bool = False

    @property
    def said_classes(self) -> dict[str, int | str]:
        """The classes as a recipe says them: name -> value."""
        return dict(zip(self.class_names, map(self._said, self.values), strict=True))

    @property
    def said_ignored(self) -> tuple[int | str, ...]:
        """The ignored values as a recipe says them."""
        return tuple(map(self._said, self.ignored))

    def _said(self, value: int) -> int | str:
        return shown(value, True) if self.colours else value

    def unknown(self, values: Iterable[int]) -> list[str]:
        """Return what is neither a class nor ignored, as a person writes it."""
        return [shown(value, self.colours) for value in sorted(set(values) - {*self.values, *self.ignored})]

    def normal(self, values: Array, colours: bool) -> Array:
        """Return a file's values as this coding writes them: gray ones as colours, or gray colours as levels."""
        if colours == self.colours:
            return values
        return values * 0x010101 if self.colours else values & 0xFF

    def classes_of(self, values: Array, colours: bool) -> Array:
        """Return the classes (H, W) uint8 of a file's values (H, W), IGNORED where there is none; all are known."""
        values = self.normal(values, colours)
        known = np.array([*self.values, *self.ignored])
        classes = np.array([*range(len(self.values)), *[IGNORED] * len(self.ignored)], np.uint8)
        order = np.argsort(known)
        return classes[order][np.searchsorted(known[order], values)]


def shown(value: int, colours: bool) -> str:
    """Return a value as a person writes it: 7, or #ff0080."""
    return f"#{value:06x}" if colours else str(value)


def said_coding(classes: Mapping[str, int | str], ignored: Iterable[int | str], looks: Iterable[Look]) -> Coding:
    """Return the coding that `data.mask_classes` and `data.mask_ignore` say."""
    names, given = tuple(classes), list(classes.values())
    colours = any(isinstance(value, str) for value in [*given, *ignored]) or _has_colours(looks)
    values = tuple(as_value(value, colours) for value in given)
    left = tuple(as_value(value, colours) for value in ignored)
    if not left and not colours and IGNORED not in values:
        left = (IGNORED,)
    return Coding(names, values, tuple(value for value in left if value not in values), colours)


def found_coding(looks: Iterable[Look], ignored: Iterable[int | str]) -> tuple[Coding, tuple[str, ...]]:
    """Return the coding that the values of all masks suggest, and notices of what was taken to be what.

    {0, 1} and {0, 255} are background and foreground; else every value is a class, in rising order, but 255, which is
    ignored, as is what `data.mask_ignore` names. Raises DataError when these can't be classes: too many, or one."""
    looks = list(looks)
    colours = _has_colours(looks)
    plain = Coding((), (), (), colours)
    found = {int(value) for look in looks for value in plain.normal(np.array(sorted(look.values or ())), look.colours)}
    left = {as_value(value, colours) for value in ignored}
    if any(look.values is None for look in looks) or len(found - left) > MOST_FOUND:
        raise _too_many(looks)
    notices: tuple[str, ...] = ()
    values = sorted(found - left)
    if not colours and not left and IGNORED in values and len(values) > 2:
        values.remove(IGNORED)
        left = {IGNORED}
        notices = (f"pixels of value {IGNORED} in masks are ignored; if they are a class: data.mask_classes",)
    if len(values) < 2:
        raise _nothing_to_learn(looks, values, left, colours)
    assert len(values) <= MOST_CLASSES
    names = _BINARY if values in ([0, 1], [0, 255]) and not colours else tuple(shown(v, colours) for v in values)
    said = listed(
        [f"{name} {shown(v, colours)}" if names == _BINARY else name for name, v in zip(names, values, strict=True)],
        _MOST_SAID,
    )
    coding = Coding(names, tuple(values), tuple(sorted(left)), colours)
    return coding, (f"classes of the masks by value: {said}", *notices, *_once(looks, coding))


def _once(looks: list[Look], coding: Coding) -> list[str]:
    """Return a notice for each value that one mask of several alone has, among three classes or more."""
    if len(looks) < _ENOUGH_MASKS or len(coding.values) < 3:
        return []
    masks_of: dict[int, list[str]] = {value: [] for value in coding.values}
    for look in looks:
        for value in coding.normal(np.array(sorted(look.values or ())), look.colours).tolist():
            masks_of.get(value, []).append(look.name)
    return [
        f"only one mask has the value {shown(value, coding.colours)}, {masks[0]}: if it is no class, say what is: "
        "data.mask_classes"
        for value, masks in masks_of.items()
        if len(masks) == 1
    ]


def _too_many(looks: list[Look]) -> DataError:
    most = max(looks, key=lambda look: MOST_VALUES + 1 if look.values is None else len(look.values))
    number = f"more than {MOST_VALUES}" if most.values is None else str(len(most.values))
    return DataError(
        f"the masks have more than {MOST_FOUND} different values ({most.name} alone {number}), as smoothed masks "
        "have, or JPEGs; save them without loss, or say which value is which class: data.mask_classes"
    )


def _nothing_to_learn(looks: list[Look], values: list[int], left: set[int], colours: bool) -> DataError:
    only = listed(shown(value, colours) for value in values) or "nothing"
    where = f" ({looks[0].name} and {len(looks) - 1} more)" if looks else ""
    why = f"; {listed(shown(value, colours) for value in sorted(left))} is ignored" if left else ""
    why += "; transparency is not read" if any(look.transparent for look in looks) else ""
    return DataError(
        f"all masks{where} have one class only ({only}{why}), so there is nothing to learn; give masks with two "
        "classes or more"
    )


def _has_colours(looks: Iterable[Look]) -> bool:
    """Say whether any mask has a colour that is no gray."""
    return any(
        look.colours and (look.values is None or not all(is_gray(value) for value in look.values)) for look in looks
    )
