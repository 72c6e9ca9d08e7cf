"""How the parts that a recipe can name are listed: name, one line of what it is, arguments with their defaults."""

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from netwright.cli.text import indented, table

WIDTH = 100


def parts_text(parts: Sequence[dict[str, Any]]) -> str:
    """Each part's name and line, and under it a table of its arguments."""
    blocks = []
    for part in parts:
        rows = [(each["name"], _yaml(each["default"]), each["type"]) for each in part["arguments"]]
        what = textwrap.fill(f"{part['name']}: {part['doc']}", WIDTH, subsequent_indent="    ", break_on_hyphens=False)
        blocks.append(what + ("\n" + indented(table(rows), 4) if rows else ""))
    return "\n\n".join(blocks)


def _yaml(value: Any) -> str:
    """A default as a recipe writes it, its numbers to six digits."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
