"""`netwright eject`: a run as one plain PyTorch script."""

from pathlib import Path

import click

from netwright.cli.options import output_options, remember_run
from netwright.cli.text import print_json, say, work


@click.command("eject", short_help="Write a run as one plain PyTorch script, to go on without netwright.")
@click.argument("run")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to. [the run's name with .py]")
@output_options
def command(run: str, out: Path | None, as_json: bool, quiet: bool) -> None:
    """Write RUN as one script of under 200 lines in plain PyTorch and torchvision, without netwright.

    It trains the same network on the same data in the way that courses teach, and predicts with the run's weights. What
    it has no words for is left out, and said at its top.
    """
    from netwright.workflows.eject import eject

    remember_run(run)
    with work(as_json):
        result = eject(run, out)
    if as_json:
        print_json(result)
        return
    say(f"script   {result['script']} ({result['lines']} lines)")
    for line in result["left_out"]:
        say(f"without  {line}")
    if not quiet:
        say(f"\nnext: python {result['script']}   # trains; with IMAGES it predicts with the run's weights")
