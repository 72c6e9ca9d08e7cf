"""`netwright predict`: images in, labels with their probabilities out."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from netwright.cli.options import output_options, remember_run
from netwright.cli.text import percent, print_json, table, work

BAD_INPUT = 2
ALL = 1_000_000  # more classes than there are


@click.command("predict", short_help="Name what is on images: files or folders.")
@click.argument("run")
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--top", type=click.IntRange(min=1), metavar="K", help="The K most probable classes. [3; all in JSON and CSV]"
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw each image beside its class probabilities.",
)
@click.option("--format", "layout", type=click.Choice(["table", "json", "csv"]), default="table", help="[table]")
@output_options
def command(
    run: str, paths: Sequence[str], top: int | None, plot: Path | None, layout: str, as_json: bool, quiet: bool
) -> None:
    """Name what is on images with RUN: a run folder, its name, or a bundle. PATHS are image files or folders.

    Exits with 2 when no image at all could be read.
    """
    from netwright.workflows.predict import predict_files

    remember_run(run)
    machine = as_json or layout != "table"
    top = top or (ALL if machine else 3)
    with work(machine):
        answer = predict_files(run, paths, top=top, plot=plot)
    predictions = answer["predictions"]
    if as_json or layout == "json":
        print_json(answer)
    elif layout == "csv":
        click.echo(_csv(predictions), nl=False)
    else:
        click.echo(_table(predictions, top))
    _tell(predictions, plot, quiet, machine)
    if predictions and all("error" in prediction for prediction in predictions):
        click.get_current_context().exit(BAD_INPUT)


def _most_probable(prediction: Mapping[str, Any], top: int) -> list[tuple[str, float]]:
    ordered = sorted(prediction["probabilities"].items(), key=lambda pair: -pair[1])
    return ordered[:top]


def _table(predictions: Sequence[Mapping[str, Any]], top: int) -> str:
    """One line an image: its label, its probability, and the classes next in line."""
    rows = []
    for prediction in predictions:
        if "error" in prediction:
            rows.append((prediction["source"], "-", "-", _reason(prediction).removeprefix(f"{prediction['source']}: ")))
            continue
        others = _most_probable(prediction, top)[1:]
        rest = "  ".join(f"{name} {percent(probability)}" for name, probability in others)
        rows.append((prediction["source"], prediction["label"], percent(prediction["probability"]), rest))
    return table(rows, ("image", "label", "probability", "then" if top > 1 else ""), right=(2,))


def _csv(predictions: Sequence[Mapping[str, Any]]) -> str:
    """One line an image with the probability of every class."""
    names = sorted({name for each in predictions for name in each.get("probabilities", ())}, key=_by_number)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["source", "label", "probability", "error", *names])
    for each in predictions:
        if "error" in each:
            writer.writerow([each["source"], "", "", _reason(each), *[""] * len(names)])
        else:
            probabilities = [each["probabilities"].get(name, "") for name in names]
            writer.writerow([each["source"], each["label"], each["probability"], "", *probabilities])
    return text.getvalue()


def _by_number(name: str) -> tuple[int, str]:
    """Sort 2 before 10, and words after numbers by the alphabet."""
    return (int(name), "") if name.isdecimal() else (sys.maxsize, name)


def _reason(prediction: Mapping[str, Any]) -> str:
    """Why an image has no label, as a sentence."""
    return str(prediction["error"]["message"])


def _tell(predictions: Sequence[Mapping[str, Any]], plot: Path | None, quiet: bool, machine: bool) -> None:
    """Say what is not in the table: how many images could not be read, where the picture is."""
    num_bad = sum("error" in prediction for prediction in predictions)
    if num_bad:
        click.echo(f"{num_bad} of {len(predictions)} images could not be read", err=True)
    if plot is not None and not quiet:
        click.echo(f"picture: {plot}", err=machine)
