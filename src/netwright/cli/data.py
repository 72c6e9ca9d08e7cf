"""`netwright data`: look at a data set before training on it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from netwright.cli.options import output_options, recipe_options, settings_of
from netwright.cli.text import print_json, work


@click.command("data", short_help="Look at a data set before training on it.")
@click.argument("source", metavar="DATA")
@recipe_options("classes", "image_size", "data_root", "on_bad_image")
@click.option(
    "--grid",
    "--plot",
    "grid",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw examples of every class; without it no picture is written.",
)
@output_options
def command(
    source: str, assignments: Sequence[str], grid: Path | None, as_json: bool, quiet: bool, **given: Any
) -> None:
    """Look at DATA: samples per class and split, image sizes and modes, mean and standard deviation, imbalance.

    DATA is what `netwright train` takes: a name, a folder or an .npz.
    """
    from netwright.workflows.explore import explore

    with work(as_json):
        found = explore(source, settings_of(given, assignments), plot=grid)
    print_json(found) if as_json else click.echo(_report(found))


def _report(found: Mapping[str, Any]) -> str:
    return str(found)
