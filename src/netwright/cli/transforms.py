"""`netwright transforms`: the random transforms that a recipe can name."""

import click

from netwright.cli.options import output_options
from netwright.cli.parts import parts_text
from netwright.cli.text import print_json, say


@click.command("transforms", short_help="List the random transforms (augmentations) with their arguments.")
@output_options
def command(as_json: bool, quiet: bool) -> None:
    """List the random transforms of training images with their arguments and defaults.

    Resizing, the centre crop and normalising are no choice of this list: they are the recipe's sections data and
    transform, the same in training, evaluation and prediction.
    """
    from netwright.workflows.listing import list_parts

    parts = list_parts("augmentation")
    if as_json:
        print_json({"transforms": parts})
        return
    say(parts_text(parts))
    say("\nnext: netwright train cifar10 --set 'augmentation=[{name: random_crop}, {name: horizontal_flip}]'")
