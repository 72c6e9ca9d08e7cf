"""`netwright data`: look at a data set before training on it."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from netwright.cli.options import output_options, recipe_options, settings_of
from netwright.cli.text import number, print_json, say, table, work

MOST_CLASSES = 30
MOST_SIZES = 4
AUGMENTED = "augmented.png"


@click.command("data", short_help="Look at a data set before training on it.")
@click.argument("source", metavar="DATA")
@recipe_options(
    "target",
    "columns",
    "task",
    "split_by_time",
    "masks",
    "classes",
    "image_size",
    "data_root",
    "on_bad_image",
    "group_by",
    "augmentation",
    "seed",
)
@click.option(
    "--grid",
    "--plot",
    "grid",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw examples of every class; without it no picture is written.",
)
@click.option(
    "--augmented",
    is_flag=True,
    help=f"Draw what training will see instead: views of some images, into {AUGMENTED} if there is no --grid.",
)
@output_options
def command(
    source: str,
    assignments: Sequence[str],
    grid: Path | None,
    augmented: bool,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Look at DATA: samples per class and split, image sizes and modes, mean and standard deviation, imbalance.

    DATA is what `netwright train` takes: a name, a folder, an .npz, a table of paths and labels.
    """
    from netwright.workflows.explore import explore

    with work(as_json):
        plot = grid or (Path(AUGMENTED) if augmented else None)
        found = explore(source, settings_of(given, assignments), plot=plot, augmented=augmented)
    if augmented and not found["augmentation"]:
        say("the recipe has no augmentation, so all views are alike; add some with --augmentation", err=True)
    print_json(found) if as_json else say(report(found, _command(source, given, assignments)))


def _command(source: str, given: Mapping[str, str | None], assignments: Sequence[str]) -> str:
    """The line that trains on the same data."""
    options = [word for name, text in given.items() if text for word in (f"--{name.replace('_', '-')}", text)]
    options += [word for assignment in assignments for word in ("--set", assignment)]
    return shlex.join(["netwright", "train", source, *options])


def report(found: Mapping[str, Any], train: str) -> str:
    """Everything about a data set as text: samples, what the images are, statistics, then what to watch out for."""
    rows = _about_rows(found) if "columns" in found else _about_images(found)
    parts = [f"{found['name']}\n", table(rows), "", _classes(found) if found["num_classes"] else _numbers(found)]
    parts += ["", _columns(found["columns"])] if "columns" in found else []
    parts += ["", *(f"warning: {text}" for text in found["warnings"])] if found["warnings"] else []
    parts += ["", *(f"note: {text}" for text in found["notices"])] if found["notices"] else []
    parts += ["", *(f"leaks: {text}" for text in found["leaks"].get("said", []))]
    if "columns" not in found:
        picture = found.get("plot")
        parts += [
            "",
            f"picture: {picture}" if picture else "no picture was written; draw examples with --grid FILE.png",
        ]
    return "\n".join([*parts, f"next: {train}"])


def _classes(found: Mapping[str, Any]) -> str:
    """A line a class and the sum; of many classes the first and the last by their number of training images."""
    splits = found["splits"]
    names = list(found["class_names"])
    note = ""
    if len(names) > MOST_CLASSES:
        names.sort(key=lambda name: -splits["train"]["classes"][name])
        names = [*names[: MOST_CLASSES // 2], *names[-MOST_CLASSES // 2 :]]
        note = f"\nthe {MOST_CLASSES // 2} largest and smallest in train of {found['num_classes']}; --json gives all"
    rows = [(name, *(f"{split['classes'][name]:,}" for split in splits.values())) for name in names]
    if found.get("counted") == "pixels":
        return table(rows, ("class, pixels", *splits), right=range(1, len(splits) + 1)) + note
    rows.append(("all", *(f"{split['num_samples']:,}" for split in splits.values())))
    return table(rows, ("class", *splits), right=range(1, len(splits) + 1)) + note


def _about_images(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    size = " × ".join(map(str, found["image_size"]))
    classes = f" in {found['num_classes']} classes" if found["num_classes"] else ", each with a number"
    return [
        ("images", f"{found['num_samples']:,}{classes}"),
        ("sizes", _sizes(found)),
        ("modes", _listed(f"{mode} ({count:,})" for mode, count in found["modes"].items())),
        ("network sees", f"{size}, {'gray' if found['channels'] == 1 else 'RGB'}"),
        ("mean of train", _channels(found["mean"])),
        ("std of train", f"{_channels(found['std'])}   (of pixels in 0 to 1)"),
    ]


def _about_rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    classes = f" in {found['num_classes']} classes" if found["num_classes"] else ", each with a number"
    return [("rows", f"{found['num_samples']:,}{classes}"), ("network sees", f"{found['channels']} features")]


def _columns(columns: Sequence[Mapping[str, Any]]) -> str:
    """A line a column: what it is, and how it lies in train."""
    rows = [
        (
            each["name"],
            each["kind"],
            f"{each['num_missing']:,}",
            f"{each['num_different']:,}",
            *(number(each[key]) if key in each and each["kind"] != "date" else "" for key in ("low", "median", "high")),
        )
        for each in columns
    ]
    head = ("column", "is a", "missing", "different", "low", "median", "high")
    return f"{table(rows, head, right=range(2, 7))}\nto correct: --columns NAME=KIND,…"


def _numbers(found: Mapping[str, Any]) -> str:
    """A line a split: how its numbers lie."""
    keys = ("mean", "std", "low", "high")
    rows = [(split, *(number(of[key]) for key in keys)) for split, of in found["targets"].items()]
    return table(rows, ("split", *keys), right=range(1, 5))


def _sizes(found: Mapping[str, Any]) -> str:
    texts = [f"{size['height']} × {size['width']} ({size['num_samples']:,})" for size in found["sizes"][:MOST_SIZES]]
    more = found["num_sizes"] - len(texts)
    return _listed([*texts, *([f"{more:,} of other sizes"] if more > 0 else [])])


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts) or "-"


def _channels(values: Sequence[float] | None) -> str:
    return _listed(f"{value:.4f}" for value in values or ())
