"""`netwright selftest`: kill and resume a short run on this machine and compare it with the plain one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from netwright.cli.options import output_options
from netwright.cli.text import duration, print_json, say, work
from netwright.errors import WorkFailed


@click.command("selftest", short_help="Kill and resume a short run here; compare bit for bit.")
@click.option("--quick", is_flag=True, help="Two kills in place of five.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Draw the moments of an earlier test again.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Test on the disk of this folder. [the system's temporary folder]",
)
@output_options
def command(quick: bool, seed: int | None, folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Train a short run whole, and again with kills at random moments, each time resumed; compare them bit for bit.

    Weights, optimizer state, history, metrics and the bundle's bytes must be equal. It also says what this machine and
    build of torch can promise. Nothing is left behind. Exit code 6 when a promise is not kept.
    """
    from netwright.workflows.console import Console
    from netwright.workflows.selftest import selftest

    with work(as_json):
        result = selftest(seed=seed, quick=quick, folder=folder, console=Console(quiet=quiet, json=as_json))
    print_json(result) if as_json else say(_report(result))
    if not result["passed"]:
        seed = result["seed"]
        raise WorkFailed(
            f"a resumed run differs from the plain one; please report it, with netwright selftest --seed {seed}"
        )


def _report(result: Mapping[str, Any]) -> str:
    """What can be promised, and the verdict."""
    kills = sum(len(trial["kills"]) for trial in result["trials"])
    lines = ["", "Promised here", *(f"- {promise}" for promise in result["promises"]), ""]
    verdict = "passed" if result["passed"] else "FAILED"
    lines.append(f"{verdict}: {kills} kills, {duration(result['seconds'])}")
    return "\n".join(lines)
