"""`netwright resume`: go on where a run stopped, or past its end."""

import click

from netwright.cli.options import output_options, remember_run
from netwright.cli.text import work
from netwright.cli.train import finish


@click.command("resume", short_help="Go on with an interrupted run, or train one for longer.")
@click.argument("run")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Go on until N epochs in all.")
@output_options
def command(run: str, epochs: int | None, as_json: bool, quiet: bool) -> None:
    """Go on with RUN (a run folder or its name) where it stopped; it ends with the weights it would have had anyway.

    With --epochs a finished run goes on past its end.
    """
    from netwright.workflows.console import Console
    from netwright.workflows.resume import resume

    remember_run(run)
    with work(as_json):
        resumed = resume(run, epochs=epochs, console=Console(quiet=quiet, json=as_json))
        result = resumed.result()
    finish(resumed, result, as_json)
