"""A script from its template: Python's source, laid out."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined


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
    return _tidy(environment.from_string(found).render(values))


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
