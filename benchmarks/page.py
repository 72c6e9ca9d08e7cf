"""docs/benchmarks.md: each measured work has a section between two markers, which a new measurement replaces."""

from pathlib import Path

BEGIN, END = "<!-- measured: {} -->\n", "<!-- end: {} -->\n"


def put_section(page: Path, name: str, text: str) -> None:
    """Replace a work's section on a page, or add it at the end."""
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(with_section(old, name, text), encoding="utf-8")


def with_section(page: str, name: str, text: str) -> str:
    """Return the page with a work's section put in the place of its old one."""
    begin, end = BEGIN.format(name), END.format(name)
    new = f"{begin}\n{text}\n{end}"
    if begin in page and end in page:
        before, _, rest = page.partition(begin)
        return before + new + rest.partition(end)[2]
    return page + ("\n" if page else "") + new
