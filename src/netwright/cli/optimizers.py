"""`netwright optimizers`: optimizers, criteria and learning-rate schedules that a recipe can name."""

import click

from netwright.cli.options import output_options
from netwright.cli.parts import parts_text
from netwright.cli.text import indented, print_json, say

KINDS = {"optimizers": "optimizer", "criteria": "criterion", "lr_schedulers": "lr_scheduler"}


@click.command("optimizers", short_help="List optimizers, criteria and learning-rate schedules.")
@output_options
def command(as_json: bool, quiet: bool) -> None:
    """List the optimizers, criteria and learning-rate schedules with their arguments and defaults."""
    from netwright.workflows.listing import list_parts

    parts = {title: list_parts(kind) for title, kind in KINDS.items()}
    if as_json:
        print_json(parts)
        return
    for title, kind in KINDS.items():
        say(f"{title} (recipe section: {kind})\n\n{indented(parts_text(parts[title]))}\n")
    say("next: netwright train --optimizer sgd --lr 0.1 --set optimizer.momentum=0.9 --lr-scheduler cosine")
