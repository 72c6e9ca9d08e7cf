"""`netwright train`: a recipe, a training, a summary and what to type next."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from netwright.cli.judged import judged, words_of
from netwright.cli.looks import looks
from netwright.cli.options import SHORT_OPTIONS, output_options, recipe_options, remember_run, settings_of
from netwright.cli.text import duration, number, print_json, say, table, with_loss, work

INTERRUPTED = 5


@click.command("train", short_help="Train a classifier on labelled images.")
@click.argument("data", required=False, metavar="[DATA]")
@recipe_options(*SHORT_OPTIONS)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder. [runs/<data>-<number>]")
@click.option("--test", "open_test", is_flag=True, help="Judge on the test split at the end; this look is recorded.")
@click.option("--seeds", type=click.IntRange(min=2), metavar="N", help="Train N seeds and give mean and spread.")
@click.option("--vary-split", is_flag=True, help="With --seeds: draw another split with every seed too.")
@click.option("--dry-run", is_flag=True, help="Print the resolved recipe and stop.")
@output_options
def command(
    data: str | None,
    assignments: Sequence[str],
    out: Path | None,
    open_test: bool,
    seeds: int | None,
    vary_split: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Train a classifier on labelled images and keep everything about it in a run folder.

    DATA is a name (digits, mnist, fashion-mnist, cifar10, …), a folder of class folders, a folder with train/, val/ and
    test/ of class folders, an .npz, a table (.csv, .parquet) of paths and labels, or a recipe: its name or its file.
    Without DATA it is digits, which needs no download.

    The test split stays sealed; open it once the choice is made: netwright evaluate RUN --split test
    """
    from netwright.workflows.plan import plan_name, plan_recipe, recipe_text

    recipe = plan_recipe(data, settings_of(given, assignments))
    if dry_run:
        print_json(recipe.to_mapping()) if as_json else say(recipe_text(recipe), nl=False)
        return
    from netwright.workflows.console import Console
    from netwright.workflows.train import train_recipe

    if vary_split and seeds is None:
        raise click.UsageError("--vary-split is for a series; give --seeds too")
    console = Console(quiet=quiet, json=as_json)
    if seeds is not None:
        from netwright.workflows.series import train_series

        with work(as_json):
            series = train_series(
                recipe, seeds, name=plan_name(data), out=out, test=open_test, vary_split=vary_split, console=console
            )
        finish_series(series, as_json)
        return
    with work(as_json), new_run_remembered(out):
        run = train_recipe(recipe, out=out, test=open_test, console=console, name=plan_name(data))
        result = run.result()
    finish(run, result, as_json)


@contextmanager
def new_run_remembered(out: Path | None) -> Iterator[None]:
    """Note the folder that a failing training made, for the failure's report: `out`, or what is new under runs/."""
    before = set(Path("runs").glob("*"))
    try:
        yield
    except BaseException:
        made = [out] if out is not None else [path for path in Path("runs").glob("*") if path not in before]
        if len(made) == 1 and (made[0] / "recipe.yaml").is_file():
            remember_run(made[0])
        raise


def finish(run: Any, result: dict[str, Any], as_json: bool) -> None:
    """Print what a training (or its resumption) came to; exits with 5 when it was interrupted."""
    if as_json:
        print_json(result)
    elif not run.interrupted:
        say(summary(result, has_test_split(run.path)))
    if run.interrupted:  # the workflow has said so, and how to go on
        click.get_current_context().exit(INTERRUPTED)


def diagnosis(found: Mapping[str, Any]) -> str:
    """What the history says and what to try, a line each."""
    return "\n".join(filter(None, [found["sentence"], found.get("advice")]))


def finish_series(series: dict[str, Any], as_json: bool) -> None:
    """Print what a series came to; exits with 5 when it was interrupted."""
    if series["interrupted"]:
        say(f"to go on: the same command with --out {series['series']}", err=True)
    if as_json:
        print_json(series)
    elif not series["interrupted"]:
        say(series_summary(series))
    if series["interrupted"]:
        click.get_current_context().exit(INTERRUPTED)


def series_summary(series: Mapping[str, Any]) -> str:
    """A line a seed, then mean and spread."""
    splits = list(series["summary"])
    key, words = words_of(series["summary"][splits[0]]) if splits else words_of({})
    header = ("seed", "best epoch", *(f"{split} {name}" for split in splits for name in (words.name, "loss")))
    rows: list[Sequence[object]] = []
    for run in series["runs"]:
        numbers = [run["metrics"][split] for split in splits]
        whole = words.whole if key == "accuracy" else lambda each: words.cell(each[key])
        cells = (text for each in numbers for text in (whole(each), number(each["loss"])))
        rows.append((run["seed"], run["best_epoch"], *cells))
    lines = ["", table(rows, header, right=tuple(range(len(header)))), ""]
    for split in splits:
        found = series["summary"][split][key]
        low, high = (words.cell(end) for end in found["interval"])
        scale, decimals = (100, 2) if key == "accuracy" else (1, 4)
        low = low.removesuffix(" %")
        lines.append(
            f"{split} {words.name}  {words.cell(found['mean'])} ± {scale * found['standard_deviation']:.{decimals}f} "
            f"(standard deviation of {found['num_runs']} seeds); the mean is between {low} and {high}"
        )
    if series.get("looks"):
        lines.append(looks(series["summary"]["test"]["looks"]))
    lines.append("these are the differences between trainings, on the same images: other images differ more")
    return "\n".join([*lines, f"\nseries   {series['series']}"])


def has_test_split(run: str | Path) -> bool:
    """Whether a run's data have a test split, sealed or opened."""
    from netwright.workflows.runs import show_run

    return "test" in show_run(run)["data"].get("counts", {})


def summary(result: dict[str, Any], has_test: bool) -> str:
    """The run in some lines, the last of which says what to do next."""
    history, metrics = result.get("history") or [], result.get("metrics") or {}
    rows = []
    if history:
        of = f" of {history[-1]['epoch']}"
        rows.append(("best epoch", f"{result['best_epoch']}{of}"))
    for split, of_split in metrics.items():
        what, text = judged(split, of_split)
        rows.append((what, with_loss(text, of_split)))
    if "leaks_allowed" in result:
        rows.append(("leaks allowed", f"{result['leaks_allowed']:,}: images (or groups) that two splits share"))
    rows += [("time", duration(result.get("seconds"))), ("run", result["run"])]
    text = "\n" + table(rows)
    if result.get("diagnosis"):
        text += "\n\n" + diagnosis(result["diagnosis"])
    if result.get("verdicts"):
        text += "\n\n" + "\n".join(result["verdicts"])
    if result.get("looks"):
        text += "\n\n" + looks(metrics["test"]["looks"])
    if "test" in metrics or not has_test:
        return f"{text}\n\nnext: netwright predict {result['run']} {'ROWS.csv' if 'verdicts' in result else 'IMAGE…'}"
    return f"{text}\n\nnext: netwright evaluate {result['run']} --split test   # opens the sealed test split"
