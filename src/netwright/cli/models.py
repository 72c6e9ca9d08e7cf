"""`netwright models`: the networks that a recipe can name."""

import click

from netwright.cli.options import output_options
from netwright.cli.parts import parts_text
from netwright.cli.text import columns, indented, print_json, say, work


@click.command("models", short_help="List the networks with their arguments and defaults.")
@output_options
def command(as_json: bool, quiet: bool) -> None:
    """List the networks: the built-in ones with their arguments and defaults, then torchvision's names."""
    from netwright.workflows.listing import list_parts, list_segmentation_models, list_torchvision_models

    with work(as_json):
        parts, names, for_masks = list_parts("model"), list_torchvision_models(), list_segmentation_models()
    if as_json:
        print_json({"models": parts, "torchvision": names, "torchvision_segmentation": for_masks})
        return
    say(parts_text(parts))
    say("\nfrom torchvision, without pretrained weights (arguments: --set model.arguments.NAME=VALUE)")
    say(indented(columns(names, 98)))
    say("\nfor masks, from torchvision")
    say(indented(columns(for_masks, 98)))
    say("\nnext: netwright train mnist --model mlp --set model.hidden_sizes=[200,100]")
