"""`netwright runs`: list the runs, show one, compare two. Nothing here needs torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from netwright.cli.compared import fair
from netwright.cli.judged import judged, words_of
from netwright.cli.options import output_options
from netwright.cli.text import duration, number, percent, print_json, say, table, with_interval, with_loss
from netwright.cli.verbs import Verbs

SPLITS = ("val", "test")
MOST_EPOCHS = 20


@click.group("runs", cls=Verbs, invoke_without_command=True, short_help="List runs, show one, compare two.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("runs"), metavar="DIR", help="Where the runs are. [runs]"
)
@output_options
@click.pass_context
def command(ctx: click.Context, folder: Path, as_json: bool, quiet: bool) -> None:
    """List the runs of a folder; show one; compare two."""
    if ctx.invoked_subcommand is not None:
        return
    from netwright.workflows.runs import list_runs

    rows = list_runs(folder)
    print_json({"runs": rows}) if as_json else say(_list(rows, folder))


@command.command("show", short_help="Show one run: recipe, epochs, what it reached.")
@click.argument("run")
@output_options
def show(run: str, as_json: bool, quiet: bool) -> None:
    """Show RUN: its recipe, its epochs and what it reached."""
    from netwright.workflows.runs import show_run

    shown = show_run(run)
    print_json(shown) if as_json else say(_show(shown))


@command.command("compare", short_help="Compare two runs: recipes and results.")
@click.argument("first")
@click.argument("second")
@click.option("--split", type=click.Choice(["val", "test"]), help="The images to compare them on. [val]")
@output_options
def compare(first: str, second: str, split: str | None, as_json: bool, quiet: bool) -> None:
    """Compare two runs: the fields of their recipes that differ, what each reached, and whether one is better.

    Image by image, on what the runs keep of the split. On test that needs `evaluate --split test` of both before; it is
    no look of its own.
    """
    from netwright.workflows.compare import compare_runs

    compared = compare_runs(first, second, split=split)
    print_json(compared) if as_json else say(_compare(compared))


def _list(rows: Sequence[Mapping[str, Any]], folder: Path) -> str:
    if not rows:
        return f"no runs in {folder}\nnext: netwright train"
    header = ("run", "state", "data", "model", "epochs", "best", "val", "test", "time")
    lines = [
        (
            *(row.get(key) for key in ("name", "state", "data", "model", "epochs", "best_epoch")),
            _cell(row, "val"),
            _cell(row, "test"),
            duration(row.get("seconds")),
        )
        for row in rows
    ]
    note = "\n\nhow sure a number is: netwright runs show RUN; whether two differ: netwright runs compare RUN OTHER"
    return table(lines, header, right=(4, 5, 6, 7, 8)) + note


def _cell(row: Mapping[str, Any], split: str) -> str:
    """A run's accuracy on a split, its R², or the mean Dice of its masks."""
    for name, words in (("r2", "R²"), ("mean_dice", "Dice")):
        if row.get(f"{split}_{name}") is not None:
            return f"{words} {number(row[f'{split}_{name}'])}"
    return "-" if any(name in row for name in ("val_r2", "val_mean_dice")) else percent(row.get(f"{split}_accuracy"))


def _show(shown: Mapping[str, Any]) -> str:
    """A run from its end to its beginning of interest: what it reached, its epochs, its recipe."""
    path = shown.get("path", shown["name"])
    rows = [("run", path), ("state", shown["state"]), ("best epoch", shown.get("best_epoch"))]
    for split in SPLITS:
        metrics = (shown.get("metrics") or {}).get(split)
        if metrics:
            what, text = judged(split, metrics)
            rows.append((what, with_loss(text, metrics)))
    rows += _counts(shown.get("data") or {})
    rows.append(("time", duration(shown.get("seconds"))))
    parts = [table(rows), ""]
    if shown.get("history"):
        parts += [_epochs(shown["history"], shown.get("best_epoch")), ""]
    parts += [_recipe(shown["recipe"]), "", _next(shown["state"], path)]
    return "\n".join(parts)


def _counts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not data:
        return []
    sizes = ", ".join(f"{sum(counts.values()):,} {split}" for split, counts in data["counts"].items())
    targets = f"{len(data['class_names'])} classes" if data["class_names"] else "a number"
    return [("data", f"{data['name']}: {sizes}; {targets}")]


def _epochs(history: Sequence[Mapping[str, Any]], best: int | None) -> str:
    """A line an epoch; of a long history the first ones, the last ones and the best."""
    keep = {*range(1, 6), best, *range(len(history) - MOST_EPOCHS + 7, len(history) + 1)}
    rows: list[Sequence[object]] = []
    for place, record in enumerate(history, 1):
        if len(history) > MOST_EPOCHS and place not in keep:
            if rows[-1][0] != "...":
                rows.append(("...", "", "", "", "", ""))
            continue
        losses = [number(record.get(key), decimals=4) for key in ("val_loss", "train_loss")]
        decide = [_decisive(record, split) for split in ("val", "train")]
        mark = "best" if record["epoch"] == best else ""
        rows.append((record["epoch"], decide[0], losses[0], decide[1], losses[1], mark))
    what = "dice" if "train_mean_dice" in history[0] else "acc" if "train_accuracy" in history[0] else "MAE"
    return table(rows, ("epoch", f"val {what}", "val loss", f"train {what}", "train loss", ""), right=(0, 1, 2, 3, 4))


def _decisive(record: Mapping[str, Any], split: str) -> str:
    """An epoch's accuracy on a split, its mean Dice, or its mean absolute error."""
    value = record.get(f"{split}_mae", record.get(f"{split}_mean_dice"))
    return percent(record.get(f"{split}_accuracy")) if value is None else number(value)


def _recipe(recipe: Mapping[str, Any]) -> str:
    """The recipe's sections, one line each, without the fields that are null or empty."""
    rows = [(section, _value(value)) for section, value in recipe.items()]
    return table([row for row in rows if row[1] != "-"])


def _value(value: object) -> str:
    """A part of a recipe on one line: `adam lr=0.001`, `rotation degrees=15, cutout size=8`, `32, 64`."""
    if isinstance(value, Mapping):
        fields = [f"{key}={_value(each)}" for key, each in value.items() if key != "name" and _value(each) != "-"]
        return " ".join([str(value["name"]), *fields] if "name" in value else fields) or "-"
    if isinstance(value, (list, tuple)):
        named = any(isinstance(each, Mapping) for each in value)
        return (", " if named else ",").join(map(_value, value)) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _next(state: str, path: str) -> str:
    return (
        f"next: netwright {'predict' if state == 'done' else 'resume'} {path}{' IMAGE...' if state == 'done' else ''}"
    )


def _compare(compared: Mapping[str, Any]) -> str:
    """What both reached, then what differs in their recipes."""
    names = [run["name"] for run in compared["runs"]]
    rows: list[Sequence[object]] = []
    for split in SPLITS:
        sides = [metrics.get(split) or {} for metrics in compared["metrics"]]
        if any(sides):
            known = next(filter(None, sides))
            whole = words_of(known)[1].whole
            rows.append((judged(split, known)[0], *(whole(side) if side else "-" for side in sides)))
            rows.append((f"{split} loss", *map(_loss, sides)))
    for key, label in (("best_epoch", "best epoch"), ("epochs", "epochs trained")):
        rows.append((label, *(run.get(key) for run in compared["runs"])))
    rows.append(("time", *(duration(run.get("seconds")) for run in compared["runs"])))
    rows.append(("", "", ""))
    kinds = {field: values for field, values in compared["differing"].items() if isinstance(values[0], Mapping)}
    for field, values in compared["differing"].items():
        shown = [value["name"] for value in values] if field in kinds else [_value(value) for value in values]
        rows.append((field, *shown))
    if not compared["differing"]:
        rows.append(("recipe", "the same", "the same"))
    pairs = [(field, name, value) for field in kinds for name, value in zip(names, kinds[field], strict=True)]
    notes = [(f"{field} of {name}", _value(value)) for field, name, value in pairs]
    return "\n\n".join(filter(None, [table(rows, ("", *names)), table(notes), fair(compared)]))


def _loss(metrics: Mapping[str, Any]) -> str:
    return with_interval(number, metrics.get("loss"), metrics.get("loss_interval"))
