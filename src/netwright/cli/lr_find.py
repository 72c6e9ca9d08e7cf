"""`netwright lr-find`: which learning rate to train with."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from netwright.cli.options import SHORT_OPTIONS, output_options, recipe_options, settings_of
from netwright.cli.text import number, print_json, table, work

ROWS = 12
RULES = {
    "steepest": "where the loss falls fastest",
    "tenth": "a tenth of the lr with the least loss",
    "valley": "fastai's valley",
}


@click.command("lr-find", short_help="Find a learning rate to train with.")
@click.argument("data", required=False, metavar="[DATA]")
@recipe_options(*SHORT_OPTIONS)
@click.option("--from", "lowest", type=float, default=1e-7, show_default=True, metavar="LR", help="The first lr.")
@click.option("--to", "highest", type=float, default=10.0, show_default=True, metavar="LR", help="The last lr.")
@click.option("--steps", "num_steps", type=int, default=100, show_default=True, metavar="N", help="How many between.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png", help="Draw loss over learning rate."
)
@output_options
def command(
    data: str | None,
    assignments: Sequence[str],
    lowest: float,
    highest: float,
    num_steps: int,
    plot: Path | None,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Find a learning rate: train for some steps while it grows, and see where the loss falls fastest.

    Takes what `netwright train` takes, and trains as that would: same network, batches, augmentation, criterion and
    optimizer. Nothing is kept, and neither val nor test is looked at.
    """
    from netwright.workflows.plan import plan_name, plan_recipe

    recipe = plan_recipe(data, settings_of(given, assignments))
    from netwright.workflows.console import Console
    from netwright.workflows.lr_find import find_lr_of

    say = Console(quiet=quiet, json=as_json).say
    with work(as_json):
        found = find_lr_of(
            recipe, name=plan_name(data), lowest=lowest, highest=highest, num_steps=num_steps, plot=plot, say=say
        )
    found["command"] = train_command(data, given, assignments, found)
    print_json(found) if as_json else say(report(found))


def train_command(
    data: str | None, given: Mapping[str, Any], assignments: Sequence[str], found: Mapping[str, Any]
) -> str:
    """The line that trains with the suggestion: what was asked, but for the lr; `--fast` written out, for it scales."""
    options = {name: value for name, value in given.items() if value is not None and name != "lr"}
    words = ["netwright", "train", *([data] if data is not None else [])]
    fast = options.pop("fast", False)
    if fast:
        options |= {"batch_size": str(found["batch_size"]), "lr_scheduler": found["lr_scheduler"]}
    for name, value in options.items():
        flag = name.replace("_", "-")
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    if fast:
        words.append("--no-fast")
    words += ["--lr", f"{found['suggestion']:g}"]
    for assignment in assignments:
        if not assignment.replace(" ", "").startswith("optimizer.lr="):
            words += ["--set", assignment]
    return shlex.join(words)


def report(found: Mapping[str, Any]) -> str:
    """The test as text: what was done, a table of losses, the suggestions, what to type next."""
    lrs, smoothed = found["lrs"], found["smoothed"]
    end = ", where the loss had left" if found["diverged"] else ""
    places = sorted({round(place * (len(lrs) - 1) / (ROWS - 1)) for place in range(ROWS)})
    rows = [(f"{lrs[place]:.2g}", number(smoothed[place])) for place in places]
    rules = [(f"{lr:g}", RULES[rule]) for rule, lr in found["suggestions"].items() if lr is not None]
    if found["lr"] is not None:
        rules.append((f"{found['lr']:g}", "what the recipe has"))
    parts = [
        f"{found['optimizer']}, batch size {found['batch_size']}: {len(lrs)} steps from {lrs[0]:g} to "
        f"{lrs[-1]:.2g}{end}; nothing was kept, val and test were not looked at\n",
        table(rows, ("lr", "loss, smoothed"), right=(0, 1)),
        "",
        table(rules, right=(0,)),
        "",
        f"plot: {found['plot']}" if "plot" in found else "draw the curve with --plot FILE.png",
        f"next: {found['command']}",
    ]
    return "\n".join(parts)
