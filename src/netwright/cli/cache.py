"""`netwright cache`: list, limit and clear what is kept of decoded images."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from netwright.cli.options import output_options
from netwright.cli.text import print_json, say, size, table, work


@click.command("cache", short_help="List, limit or clear the decoded images that later runs use again.")
@click.option("--clear", "clearing", is_flag=True, help="Remove ENTRY, or all of them. What a run has open stays.")
@click.option(
    "--limit", metavar="SIZE", help="How much disk the entries may take, such as 50GB. [20 GiB, if it is free]"
)
@click.argument("entry", required=False)
@output_options
def command(clearing: bool, limit: str | None, entry: str | None, as_json: bool, quiet: bool) -> None:
    """List the decoded images that are kept for later runs, the last used first.

    ENTRY is the beginning of an entry's name or of its data set's. Nothing is lost by clearing: what is missing is
    decoded again. Over the limit the entries used least recently go first.
    """
    from netwright.workflows.cache import clear_cache, list_cache, set_limit

    if entry is not None and not clearing:
        raise click.UsageError(f"to remove {entry}, say: netwright cache --clear {entry}")
    with work(as_json):
        if limit is not None:
            set_limit(limit)
        cleared = clear_cache(entry) if clearing else None
        found = list_cache()
    print_json(found | (cleared or {})) if as_json else say(_report(found, cleared))


def _report(found: Mapping[str, Any], cleared: Mapping[str, Any] | None) -> str:
    """The entries as a table, and how much of the limit they take."""
    parts = []
    if cleared is not None:
        parts.append(f"removed {len(cleared['removed'])} of {len(cleared['removed']) + len(cleared['kept'])} entries")
        parts += [f"{name} stays: a process has it open, or it may not be removed" for name in cleared["kept"]]
        parts.append("")
    rows = [(each["entry"], size(each["bytes"]), _used(each), each["title"] or "damaged") for each in found["entries"]]
    if rows:
        parts += [table(rows, ("entry", "size", "last used", "what"), right=(1,)), ""]
    parts.append(f"{size(found['bytes'])} of at most {size(found['limit_bytes'])} in {found['folder']}")
    twins = found["twins"]
    if twins["data_sets"]:
        sets = f"{twins['data_sets']} data set{'' if twins['data_sets'] == 1 else 's'}"
        parts.append(f"{size(twins['bytes'])} of twins found in {sets}; --clear removes it too")
    parts.append(
        "next: netwright cache --clear ENTRY" if rows else "nothing is kept; training on image files does that"
    )
    return "\n".join(parts)


def _used(each: Mapping[str, Any]) -> str:
    if each["in_use"]:
        return "in use"
    return datetime.fromisoformat(each["used"]).astimezone().strftime("%Y-%m-%d %H:%M")
