"""`netwright predict`: images in, labels with their probabilities out."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from netwright.cli.options import output_options, remember_run
from netwright.cli.text import duration, number, percent, print_json, say, table, work
from netwright.config.engines import ENGINES, PRECISIONS

BAD_INPUT = 2
MOST_SHARES = 4  # classes of a mask in a line


@click.command("predict", short_help="Name what is on images: files or folders.")
@click.argument("run")
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--top", type=click.IntRange(min=1), metavar="K", help="The K most probable classes. [3; all in JSON and files]"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write into a .csv, .jsonl or .parquet: for any number of images; goes on where it was stopped.",
)
@click.option("--overwrite", is_flag=True, help="With --out: replace the file, and begin again.")
@click.option("--batch-size", default="auto", metavar="N", help="Images at once; auto tries some. [auto]")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    help="What computes; auto: torch, or the quickest of all that are installed where it takes long. [auto]",
)
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="auto", help="[auto: as it was trained; fp32 for onnx]"
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw each image beside its class probabilities.",
)
@click.option(
    "--out-masks",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write each image's mask as PNG, and its overlay, of a network that gives masks.",
)
@click.option("--format", "layout", type=click.Choice(["table", "json", "csv"]), default="table", help="[table]")
@output_options
def command(run: str, paths: Sequence[str], out: Path | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Name what is on images with RUN: a run folder, its name, or a bundle.

    PATHS are image files, folders, patterns in quotes ('shots/**/*.jpg'), or - for paths on standard input, one a line.
    Exits with 2 when no image at all could be read.
    """
    remember_run(run)
    batch_size = _batch_size(options["batch_size"])
    if out is None:
        if options["overwrite"]:
            raise click.UsageError("--overwrite says what becomes of a file that is there; give it with --out")
        _print(run, paths, batch_size, options, as_json, quiet)
        return
    if options["plot"] is not None or options["layout"] != "table":
        raise click.UsageError("--out writes a file for any number of images; leave --plot and --format out")
    _write(run, paths, out, batch_size, options, as_json, quiet)


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isdecimal() and int(text) > 0):
        raise click.UsageError(f"--batch-size is {text!r}; expected auto or a number of images from 1 on")
    return int(text)


def _print(
    run: str, paths: Sequence[str], batch_size: int | None, options: Mapping[str, Any], as_json: bool, quiet: bool
) -> None:
    from netwright.workflows.predict import csv_lines, predict_files

    layout, plot = options["layout"], options["plot"]
    computing = {"engine": options["engine"], "precision": options["precision"], "tell": _notice}
    machine = as_json or layout != "table"
    top = options["top"] or (None if machine else 3)
    with work(machine):
        answer = predict_files(
            run,
            paths,
            top=top,
            plot=plot,
            out_masks=options["out_masks"],
            batch_size=batch_size,
            standard_input=sys.stdin.buffer,
            **computing,
        )
    predictions = answer["predictions"]
    if as_json or layout == "json":
        print_json(answer)
    elif layout == "csv":
        for line in csv_lines(predictions, options["top"]):
            say(line, nl=False)
    else:
        say(_table(predictions, top or 1))
    _tell(predictions, plot, quiet, machine)
    if predictions and all("error" in prediction for prediction in predictions):
        click.get_current_context().exit(BAD_INPUT)


def _write(
    run: str,
    paths: Sequence[str],
    out: Path,
    batch_size: int | None,
    options: Mapping[str, Any],
    as_json: bool,
    quiet: bool,
) -> None:
    from netwright.workflows.predict_file import predict_into

    with work(as_json):
        done = predict_into(
            run,
            paths,
            out,
            top=options["top"],
            out_masks=options["out_masks"],
            batch_size=batch_size,
            engine=options["engine"],
            precision=options["precision"],
            tell=_notice,
            overwrite=options["overwrite"],
            quiet=quiet,
            standard_input=sys.stdin.buffer,
        )
    if as_json:
        print_json(done)
    elif not quiet:
        before = f" ({done['num_already_done']:,} of them before)" if done["num_already_done"] else ""
        rate = f", {done['images_per_second']:,.0f} a second" if (done["images_per_second"] or 0) >= 1 else ""
        things = f"1 {done['takes'][:-1]}" if done["num_images"] == 1 else f"{done['num_images']:,} {done['takes']}"
        say(f"{things}{before} in {duration(done['seconds'])}{rate}{_by(done['engine'])}: {out}")
    if done["num_errors"]:
        say(f"{done['num_errors']:,} of {done['num_images']:,} images could not be read: see `error`", err=True)
    if done["num_errors"] == done["num_images"]:
        click.get_current_context().exit(BAD_INPUT)


def _notice(text: str) -> None:
    say(text, err=True)


def _by(engine: Mapping[str, Any]) -> str:
    """Say what computed, where it was chosen or asked for."""
    rates = engine.get("images_per_second", {})
    others = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items() if name != engine["name"])
    if others:
        return f" by {engine['name']} (in the trial {rates[engine['name']]:,.0f}; {others})"
    return "" if engine["asked"] == "auto" else f" by {engine['name']}"


def _most_probable(prediction: Mapping[str, Any], top: int) -> list[tuple[str, float]]:
    ordered = sorted(prediction["probabilities"].items(), key=lambda pair: -pair[1])
    return ordered[:top]


def _table(predictions: Sequence[Mapping[str, Any]], top: int) -> str:
    """One line an image: its label, its probability, and the classes next in line; or its number."""
    if any("value" in prediction for prediction in predictions):
        return table(
            [(each["source"], number(each.get("value")), _reason(each) if "error" in each else "")
             for each in predictions],
            ("image", "value", ""),
            right=(1,),
        )  # fmt: skip
    if any("shares" in prediction for prediction in predictions):
        return _of_masks(predictions)
    rows = []
    for prediction in predictions:
        if "error" in prediction:
            rows.append((prediction["source"], "-", "-", _reason(prediction).removeprefix(f"{prediction['source']}: ")))
            continue
        others = _most_probable(prediction, top)[1:]
        rest = "  ".join(f"{name} {percent(probability)}" for name, probability in others)
        rows.append((prediction["source"], prediction["label"], percent(prediction["probability"]), rest))
    return table(rows, ("image", "label", "probability", "then" if top > 1 else ""), right=(2,))


def _of_masks(predictions: Sequence[Mapping[str, Any]]) -> str:
    """One line an image: each class's share of its pixels, largest first, and the mask that was written."""
    rows = []
    for each in predictions:
        if "error" in each:
            rows.append((each["source"], _reason(each).removeprefix(f"{each['source']}: "), "-"))
            continue
        ordered = sorted(each["shares"].items(), key=lambda pair: -pair[1])
        said = "  ".join(f"{name} {percent(share)}" for name, share in ordered[:MOST_SHARES] if share)
        rows.append((each["source"], said, each.get("mask", "-")))
    return table(rows, ("image", "shares of the pixels", "mask"))


def _reason(prediction: Mapping[str, Any]) -> str:
    """Why an image has no label, as a sentence."""
    return str(prediction["error"]["message"])


def _tell(predictions: Sequence[Mapping[str, Any]], plot: Path | None, quiet: bool, machine: bool) -> None:
    """Say what is not in the table: how many images could not be read, where the picture is."""
    num_bad = sum("error" in prediction for prediction in predictions)
    if num_bad:
        say(f"{num_bad} of {len(predictions)} images could not be read", err=True)
    if plot is not None and not quiet:
        say(f"picture: {plot}", err=machine)
