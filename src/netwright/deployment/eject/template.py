"""A script from its template: Python's source, laid out."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from textwrap import wrap
from typing import Any

from jinja2 import Environment, StrictUndefined

from netwright.deployment.eject.code import WIDTH

MOST_LINES = 200  # which a readable script has less than, empty ones too


@dataclass(frozen=True)
class Ejected:
    """A script and what it leaves out of the run."""

    text: str
    left_out: tuple[str, ...]


def rendered(template: str, values: dict[str, Any]) -> str:
    """Fill in a template of this folder, by its name."""
    found = files("netwright.deployment.eject").joinpath(template).read_text(encoding="utf-8")
    # Python's source, not HTML
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return fitted(_tidy(environment.from_string(found).render(values)))


def said_left_out(left_out: Sequence[str]) -> str:
    """Return the lines at a script's top that say what it leaves out of the run; nothing where that is nothing."""
    if not left_out:
        return ""
    return "\n".join(["", *wrap(f"Left out of the run: {'; '.join(left_out)}.", WIDTH), ""])


def fitted(script: str) -> str:
    """Return a script of fewer than MOST_LINES lines, if it can be: lists with a part a line get several a line, the
    longest first, as long as there are too many lines."""
    lines = script.split("\n")
    for block in sorted(_blocks(lines), key=len, reverse=True):
        if len(lines) <= MOST_LINES:  # the last one is empty
            break
        first = next(at for at in range(len(lines)) if lines[at : at + len(block)] == block)
        lines[first : first + len(block)] = _filled(block)
    return "\n".join(lines)


def _blocks(lines: list[str]) -> list[list[str]]:
    """Return the statements of several lines that open a bracket, have parts a step further in, and close it."""
    found = []
    for first, line in enumerate(lines):
        inner = " " * (len(line) - len(line.lstrip()) + 4)
        if not line.endswith(("(", "[", "{")):
            continue
        last = first + 1
        while lines[last].startswith(inner) and lines[last][len(inner)] != " " and lines[last].endswith(","):
            last += 1
        if last == first + 1 and lines[last].startswith(inner):  # all parts in one line
            last += 1
        if lines[last] in (f"{inner[4:]}{bracket}" for bracket in ")]}"):
            found.append(lines[first : last + 1])
    return found


def _filled(block: list[str]) -> list[str]:
    """Return the block with as many parts to a line as fit."""
    inner = " " * (len(block[0]) - len(block[0].lstrip()) + 4)
    parts = [part for line in block[1:-1] for part in _parts(line.strip().removesuffix(","))]
    made = [block[0] + parts[0]]
    for part in parts[1:]:
        if len(made[-1]) + len(part) + 3 > WIDTH:
            made = [*made[:-1], f"{made[-1]},", inner + part]
        else:
            made[-1] += f", {part}"
    return [*made[:-1], f"{made[-1]}{block[-1].strip()}  # fmt: skip"]


def _parts(line: str) -> list[str]:
    """Return what commas outside of brackets and texts part."""
    parts, depth, quoted = [""], 0, False
    for character in line:
        quoted ^= character == '"'
        depth += 0 if quoted else (character in "([{") - (character in ")]}")
        if character == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _tidy(script: str) -> str:
    """Put two empty lines before every function and class of the module, at most one elsewhere."""
    made: list[str] = []
    for line in script.split("\n"):
        if not line.strip() and made and not made[-1]:
            continue
        if line.startswith(("def ", "class ", "if __name__")) and made and not made[-1]:
            made.append("")
        made.append(line.rstrip())
    return "\n".join(made).rstrip() + "\n"
