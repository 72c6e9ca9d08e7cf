"""The options that several verbs share, and how their text becomes settings of the recipe."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Short(NamedTuple):
    """A short option of the recipe: what its value is called, what it does, and how its text is read."""

    metavar: str
    help: str
    # text | value (one YAML value) | names (separated by commas) | pairs (A=B,…) | parts (names, or YAML) | size | flag
    read: str = "text"


# One for every name of config.overrides.SHORT_NAMES (a test holds them together; importing it here would cost 0.1 s).
SHORT_OPTIONS = {
    "model": Short("NAME", "The network: linear, mlp, cnn, alexnet, or one of torchvision's. See: netwright models"),
    "weights": Short("WHAT", "First weights: none, default (pretrained), a weights file, or a run of yours."),
    "head": Short("NAME", "The last layers: own, linear, hidden or concat_pool."),
    "freeze": Short("WHAT", "Keep as it is: none, backbone (all but the head), or all up to a stage by its name."),
    "epochs": Short("N", "Passes over the training split.", "value"),
    "batch_size": Short("N|auto", "Images in one batch; auto: the recipe's, in parts that fit in memory.", "value"),
    "lr": Short("RATE", "The optimizer's learning rate, such as 3e-4.", "value"),
    "optimizer": Short("NAME", "sgd, adam, adamw, … See: netwright optimizers"),
    "weight_decay": Short("X", "The optimizer's weight decay.", "value"),
    "lr_scheduler": Short("NAME", "constant, step, cosine, one_cycle or plateau."),
    "criterion": Short("NAME", "cross_entropy, nll, bce or bce_with_logits."),
    "class_weights": Short("balanced", "Weigh classes against their share of train: balanced, or [w1,w2,…].", "value"),
    "sampling": Short("NAME", "natural (default) or balanced: every class equally often in an epoch."),
    "augmentation": Short("A,B,…", "Random transforms in order, as names or YAML. See: netwright transforms", "parts"),
    "patience": Short("N", "Stop after N epochs without a better one.", "value"),
    "on_nan": Short("stop|skip", "What a loss or gradient that is not finite does: ends the run, or is left out."),
    "monitor": Short("METRIC", "What makes an epoch the best: val_loss (default), val_accuracy, …"),
    "max_minutes": Short("X", "End in time, properly, after X minutes.", "value"),
    "seed": Short("N", "The same seed gives the same run.", "value"),
    "image_size": Short("N|HxW", "Size in pixels that the network sees.", "size"),
    "value_range": Short("[A,B]", "What float pixels mean: the values of black and white, such as [0,1].", "value"),
    "classes": Short("A,B,…", "Keep these classes only, numbered in this order.", "names"),
    "task": Short("NAME", "auto (default), classification or regression: a number an image, from a table."),
    "target": Short("COLUMN", "Learn this column of a table from its others; or 'A > B' of two of them."),
    "columns": Short(
        "A=KIND,…", "What columns are: number, boolean, date, category or ignore. [by their look]", "pairs"
    ),
    "ahead": Short("N", "Learn the target of the row N later in time.", "value"),
    "split_by_time": Short("COLUMN", "Judge on the latest rows, by this column."),
    "masks": Short("FOLDER|COLUMN", "Learn a class for each pixel: masks by their images' names, or a table's column."),
    "data_root": Short("DIR", "Where named data sets already lie, or a table's paths begin; read, never written."),
    "on_bad_image": Short("fail|skip", "What a damaged image does: ends the run as it begins, or is left out."),
    "group_by": Short(
        "REGEX|KEY", "Keep images together: a regex with one (group) on paths, a key of the .npz, a table's column."
    ),
    "allow_leaks": Short("", "Train although given splits share images; every result says so.", "flag"),
    "golden": Short("real|synthetic|none", "Images that the bundle carries. [real of named sets, else blends]"),
    "device": Short("NAME", "auto (default), cpu, cuda, cuda:1 or mps."),
    "precision": Short("NAME", "auto (default), fp32 or bf16."),
    "threads": Short("N", "Processor threads.", "value"),
    "exact": Short("", "Compute in fp32 with deterministic kernels.", "flag"),
    "fast": Short("", "Train in larger batches with a matching learning rate.", "flag"),
    "cached_features": Short("", "Compute a frozen backbone's features once. [where the result is the same]", "flag"),
    "views": Short("N", "Compute them for N augmented versions of every training image.", "value"),
    "head_solver": Short("NAME", "optimizer (default), or lbfgs: the exact optimum of a linear head."),
}


def output_options(function: F) -> F:
    """Give a verb --json and --quiet (arguments `as_json` and `quiet`)."""
    function = click.option("--quiet", is_flag=True, help="Show no progress.")(function)
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(function)


def recipe_options(*names: str) -> Callable[[F], F]:
    """Give a verb short options of the recipe, and --set for all other fields (argument `assignments`)."""

    def add(function: F) -> F:
        function = click.option(
            "--set",
            "assignments",
            metavar="FIELD=VALUE",
            multiple=True,
            help="Set any field of the recipe, such as training.clip_norm=1. Repeatable.",
        )(function)
        for name in reversed(names):
            short = SHORT_OPTIONS[name]
            flag = "--" + name.replace("_", "-")
            if short.read == "flag":
                function = click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=short.help)(function)
            else:
                function = click.option(flag, name, metavar=short.metavar, help=short.help)(function)
        return function

    return add


def settings_of(given: Mapping[str, Any], assignments: Sequence[str]) -> list[tuple[str, object]]:
    """Return (field, value) of every option that was given; `--set` comes last and so wins.

    Raises RecipeError for a `--set` that is not of the form field=value, click.UsageError for an unreadable value."""
    from netwright.config.overrides import SHORT_NAMES, parse_setting

    settings = [(SHORT_NAMES[name], _read(name, text)) for name, text in given.items() if text is not None]
    return settings + [parse_setting(assignment) for assignment in assignments]


def _read(name: str, text: Any) -> object:
    """The value that an option's text means."""
    import yaml

    from netwright.config.overrides import read_scalar

    how = SHORT_OPTIONS[name].read
    if how == "parts" and text.lstrip().startswith("["):
        how = "value"
    if how == "parts" and text.strip() == "none":
        return []
    if how in ("names", "parts"):
        return [part.strip() for part in text.split(",") if part.strip()]
    if how == "pairs":
        return _pairs(text, name)
    if how == "size" and text.lower().replace("x", "", 1).isdigit() and "x" in text.lower():
        return [int(part) if part else 0 for part in text.lower().split("x")]
    if how in ("value", "size"):
        try:
            return read_scalar(text)
        except yaml.YAMLError:
            raise click.UsageError(f"--{name.replace('_', '-')} {text!r} is not a number") from None
    return text


def _pairs(text: str, name: str) -> dict[str, str]:
    """Read A=KIND,B=KIND."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    wrong = [first for first, _, second in pairs if not (first.strip() and second.strip())]
    if wrong:
        raise click.UsageError(f"--{name} {text!r}: expected COLUMN=KIND,…, and {wrong[0]!r} is none")
    return {first.strip(): second.strip() for first, _, second in pairs}


def remember_run(run: str | Path) -> None:
    """Note the run's folder, so that a failure's report can be kept in it and an interruption can say how to go on."""
    for path in (Path(run), Path("runs") / run):
        if path.is_dir():
            click.get_current_context().obj["run"] = path
            return
