"""What masks mean: one class for each pixel of an image."""

import re

from netwright.errors import RecipeError

IGNORED = 255  # in a mask, in place of a class: the pixel is neither trained on nor judged
MOST_CLASSES = 255
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def as_value(value: int | str, colours: bool) -> int:
    """Return a mask's value as a number: a gray level, or with `colours` 0xRRGGBB of "#rrggbb" or a gray level."""
    if isinstance(value, str):
        return int(value[1:], 16)
    return value * 0x010101 if colours else value


def check_value(value: int | str, where: str) -> None:
    """Raise RecipeError for what is neither a gray level nor "#rrggbb"."""
    if isinstance(value, str) and not _COLOUR.fullmatch(value):
        raise RecipeError(f"`{where}` is {value!r}; expected a number from 0 to 65535, or a colour such as '#ff0080'")
    if isinstance(value, int) and not 0 <= value <= 65535:
        raise RecipeError(f"`{where}` is {value}; expected a number from 0 to 65535, or a colour such as '#ff0080'")
