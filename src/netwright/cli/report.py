"""`netwright report`: one HTML file about a run, to read and to send."""

import webbrowser
from pathlib import Path

import click

from netwright.cli.options import output_options, remember_run
from netwright.cli.text import print_json, say, size, work


@click.command("report", short_help="Write all that is known of a run as one HTML file.")
@click.argument("run")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to. [RUN/report.html]")
@click.option("--open", "open_it", is_flag=True, help="Show it in the web browser.")
@output_options
def command(run: str, out: Path | None, open_it: bool, as_json: bool, quiet: bool) -> None:
    """Write the report of RUN (a run folder or its name): one file that needs no network, to read and to send.

    What was asked, data and leaks, curves, results with intervals, mistakes as pictures, looks at test, how to do it
    again. Judge first what is to be in it: netwright evaluate RUN.
    """
    from netwright.workflows.report import report

    remember_run(run)
    with work(as_json):
        path = report(run, out=out)
    if as_json:
        print_json({"run": run, "report": str(path), "bytes": path.stat().st_size})
    else:
        say(f"report: {path} ({size(path.stat().st_size)})")
    if open_it:
        webbrowser.open(path.resolve().as_uri())
