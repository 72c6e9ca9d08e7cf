"""Python source, laid out as ruff and black lay it out: one line where it fits into 88 characters, else its
parts in a line of their own, else one a line."""

from dataclasses import dataclass
from typing import Any

WIDTH = 88


@dataclass(frozen=True)
class Call:
    """A call, a list (`name` empty, brackets) or the like, with parts that are source themselves or calls."""

    name: str
    parts: tuple["str | Call", ...] = ()
    brackets: str = "()"

    def line(self) -> str:
        """Return it in one line."""
        inner = ", ".join(part if isinstance(part, str) else part.line() for part in self.parts)
        return f"{self.name}{self.brackets[0]}{inner}{self.brackets[1]}"

    def lines(self, indent: int = 0, before: str = "", after: str = "") -> list[str]:
        """Return it behind `before`, in as few lines as it is laid out in."""
        space = " " * indent
        whole = f"{space}{before}{self.line()}{after}"
        if len(whole) <= WIDTH or not self.parts:
            return [whole]
        made = [f"{space}{before}{self.name}{self.brackets[0]}"]
        together = f"{space}    {', '.join(part if isinstance(part, str) else part.line() for part in self.parts)}"
        if len(together) <= WIDTH and self.brackets == "()":
            return [*made, together, f"{space}{self.brackets[1]}{after}"]
        for part in self.parts:
            made += [f"{space}    {part},"] if isinstance(part, str) else part.lines(indent + 4, after=",")
        return [*made, f"{space}{self.brackets[1]}{after}"]


def named(name: str, value: Call) -> Call:
    """Return `name=value` as a part of a call."""
    return Call(f"{name}={value.name}", value.parts, value.brackets)


def call(name: str, *given: Any, **keywords: Any) -> Call:
    """Return a call with Python values as arguments; calls and `Raw` source stay what they are."""
    parts: list[str | Call] = [source(value) for value in given]
    for keyword, value in keywords.items():
        made = source(value)
        parts.append(f"{keyword}={made}" if isinstance(made, str) else named(keyword, made))
    return Call(name, tuple(parts))


class Raw(str):
    """Text that is source already."""


def source(value: Any) -> "str | Call":
    """Return a value as source: text in double quotes, tuples and numbers as Python writes them."""
    if isinstance(value, (Call, Raw)):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (list, tuple)):
        parts = tuple(source(each) for each in value)
        if isinstance(value, tuple):
            return "(" + ", ".join(str(part) for part in parts) + ("," if len(parts) == 1 else "") + ")"
        return Call("", parts, "[]")
    return repr(value)


def text(value: str) -> str:
    """Return text in double quotes, as ruff prefers it."""
    made = repr(value)
    if made.startswith("'") and '"' not in made:
        return f'"{made[1:-1]}"'
    return made
