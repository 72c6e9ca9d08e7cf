"""The entry point: find the verb, run it, turn whatever goes wrong into one message and an exit code."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from netwright.cli.failures import VERSION, explain_failure
from netwright.cli.verbs import Verbs

# verb -> the line that `netwright --help` shows. The verb's own file is imported only when it is called.
VERBS = {
    "train": "Train a classifier on labelled images.",
    "evaluate": "Judge a run: on its val or test split, or on new labelled data.",
    "report": "Write all that is known of a run as one HTML file.",
    "predict": "Name what is on images: files or folders.",
    "export": "Write a run as ONNX, torch.export or one zip file, compared first.",
    "serve": "Answer predictions over HTTP, with a page for people.",
    "eject": "Write a run as one plain PyTorch script, to go on without netwright.",
    "inspect": "Look inside a network: its layers, Grad-CAM, filters, feature maps.",
    "resume": "Go on with an interrupted run, or train one for longer.",
    "runs": "List runs, show one, compare two.",
    "data": "Look at a data set before training on it.",
    "lr-find": "Find a learning rate to train with.",
    "selftest": "Kill and resume a short run here; compare bit for bit.",
    "cache": "List, limit or clear the decoded images that later runs use again.",
    "models": "List the networks with their arguments and defaults.",
    "transforms": "List the random transforms (augmentations) with their arguments.",
    "optimizers": "List optimizers, criteria and learning-rate schedules.",
}


class LazyVerbs(Verbs):
    """The top group: `VERBS`, each imported from `netwright.cli.<verb>` (`-` is `_`) when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"netwright.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(
    cls=LazyVerbs,
    subcommand_metavar="VERB ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every verb has its own --help, --json and --quiet.\n\nBegin with: netwright train",
)
@click.version_option(VERSION, message="netwright %(version)s")
def netwright() -> None:
    """From labelled images to a trusted, saved classifier."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code. Nothing is raised but SystemExit of others' making."""
    known: dict[str, Any] = {}  # what the verb finds out that a failure's report needs: the run's folder
    try:
        with netwright.make_context("netwright", list(arguments) or ["--help"], obj=known) as context:
            netwright.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except BaseException as error:
        if isinstance(error, (SystemExit, GeneratorExit)):
            raise
        return explain_failure(error, known.get("run"))
    return 0


def main() -> None:
    """Run the command line of this process and exit."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file's name may hold what the terminal can't show
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' warnings are for us, not for who trains a classifier
    sys.exit(run(sys.argv[1:]))
