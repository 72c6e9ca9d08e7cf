"""Numbers and foreign text as the HTML report writes them; what is missing or not finite is a dash."""

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

MOST_LETTERS = 60  # of a class or file name in a table: 1,000 classes of 10,000 letters would be 10 MB a table
FILTERS = ("short", "percent", "percents", "points", "number", "numbers", "score", "scores", "count", "seconds")
DASH = "–"
SPACE = "\u00a0"  # between a number and its unit no line is broken
_DIRECTIONS = ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI")


_NO_TEXT = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|<[^>]*>)", re.DOTALL)  # of a template: code and tags


def of_rows(template: str) -> str:
    """Return a template whose text speaks of rows where it spoke of images; code and tags stay."""
    parts = _NO_TEXT.split(template)
    parts[::2] = [_rows_said(text) for text in parts[::2]]
    return "".join(parts)


def _rows_said(text: str) -> str:
    text = re.sub(r"\b([Aa])n image\b", r"\1 row", text)
    return re.sub(r"\b[Ii]mage(s?)\b", lambda found: ("Row" if found[0][0] == "I" else "row") + found[1], text)


def clean(text: object) -> str:
    """Return text that can be encoded and keeps its place: lone surrogates, control characters and marks that turn the
    direction of what follows become U+FFFD; line breaks and tabs stay."""
    return "".join("\ufffd" if _is_bad(letter) else letter for letter in str(text))


def _is_bad(letter: str) -> bool:
    if letter in "\n\t":
        return False
    # bidirectional() is "" for surrogates; LRM, RLM and ALM are invisible, and turn single words
    return (
        unicodedata.category(letter) in ("Cs", "Cc")
        or unicodedata.bidirectional(letter) in _DIRECTIONS
        or letter in "\u200e\u200f\u061c"
    )


def short(text: object, most: int = MOST_LETTERS) -> str:
    """Return the text as one line, with its middle left out where it is longer: names often begin alike."""
    whole = str(text)
    far_too_long = len(whole) > 8 * most  # cleaned letter by letter only near its ends
    line = " ".join(clean(whole[: 4 * most] + whole[-4 * most :] if far_too_long else whole).split())
    if len(line) <= most and not far_too_long:
        return line
    kept = most - 1
    return f"{line[: (kept + 1) // 2].rstrip()}…{line[len(line) - kept // 2 :].lstrip()}"


def is_number(value: object) -> bool:
    """Say whether a value of a record is a number that can be shown."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def percent(value: Any, decimals: int = 1) -> str:
    """0.981 -> "98.1 %"."""
    return f"{100 * value:.{decimals}f}{SPACE}%" if is_number(value) else DASH


def percents(ends: Any) -> str:
    """[0.956, 0.993] -> "95.6 to 99.3 %"."""
    if not _are_ends(ends):
        return DASH
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}{SPACE}%"


def points(ends: Any) -> str:
    """[0.0213, 0.0441] -> "2.1 to 4.4 points"."""
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} points" if _are_ends(ends) else DASH


def number(value: Any, digits: int = 4) -> str:
    """0.03254817 -> "0.03255"."""
    return f"{value:.{digits}g}" if is_number(value) else DASH


def numbers(ends: Any) -> str:
    """[0.01138, 0.1131] -> "0.01138 to 0.1131"."""
    return f"{number(ends[0])} to {number(ends[1])}" if _are_ends(ends) else DASH


def score(value: Any) -> str:
    """0.98164 -> "0.982"."""
    return f"{value:.3f}" if is_number(value) else DASH


def scores(ends: Any) -> str:
    """[0.9798, 1.0] -> "0.980 to 1.000"."""
    return f"{score(ends[0])} to {score(ends[1])}" if _are_ends(ends) else DASH


def count(value: Any) -> str:
    """1437 -> "1,437"."""
    return f"{value:,}" if is_number(value) else DASH


def seconds(value: Any) -> str:
    """Seconds as people say them: 9.8 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if not is_number(value):
        return DASH
    if round(value) < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _are_ends(ends: Any) -> bool:
    return isinstance(ends, Sequence) and len(ends) == 2 and all(is_number(end) for end in ends)
