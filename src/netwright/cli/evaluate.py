"""`netwright evaluate`: how good a run is, in one screen."""

from collections.abc import Mapping
from typing import Any

import click

from netwright.cli.judged import errors
from netwright.cli.judged_masks import mask_classes, mask_rows
from netwright.cli.looks import looks
from netwright.cli.options import output_options, remember_run
from netwright.cli.text import accuracy, number, percent, print_json, say, table, with_interval, work
from netwright.cli.train import has_test_split

INTERRUPTED = 5
MOST_CLASSES = 30
MOST_SUSPECTS = 5
OTHER_MODELS = {"linear": "linear model", "boosting": "boosted trees"}  # of scikit-learn, on the same rows
TRUSTED = 0.85  # accuracy under which a confident contradiction is rather a mistake than a wrong label (docs/log.md)
INTERVALS = {
    "all": "in brackets: 95 % intervals, a bootstrap over images: pixels of one image are no sample",
    "mae": "in brackets: 95 % intervals, a bootstrap over samples; of the median by their order",
    "accuracy": "in brackets: 95 % intervals, Wilson's of accuracies, top-k, precision and recall of a class;\n"
    "the jackknife's of ROC-AUC and average precision; the bootstrap's of the rest",
}  # by a number that a task's methods name


@click.command("evaluate", short_help="Judge a run: on its val or test split, or on new labelled data.")
@click.argument("run")
@click.option("--split", type=click.Choice(["val", "test"]), default="val", help="Which split. [val]")
@click.option("--data", "data", metavar="OTHER", help="Judge on these labelled images of the same classes instead.")
@click.option(
    "--masks", metavar="FOLDER|COLUMN", help="With --data: where their masks are. [masks/ beside images/ in OTHER]"
)
@click.option("--data-root", metavar="DIR", help="Where named data sets already lie; read, never written.")
@click.option("--shifts", is_flag=True, help="Also judge on images moved by 1 to 4 pixels (17 more passes).")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    metavar="K",
    help="Train K times and judge all of train and val, each image by a network that has not seen it.",
)
@output_options
def command(
    run: str,
    split: str,
    data: str | None,
    masks: str | None,
    data_root: str | None,
    shifts: bool,
    folds: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Judge RUN (a run folder or its name) with the weights of its best epoch; with --data also a bundle's folder.

    Every look at a test split is recorded: judge on val as often as needed, on test once the choice is made.

    --folds 5 looks for wrong labels in all of train and val: it trains RUN's recipe five times.
    """
    from netwright.workflows.evaluate import evaluate

    remember_run(run)
    if folds is not None:
        if any(given is not None for given in (data, masks, data_root)) or shifts or split == "test":
            raise click.UsageError(
                "--folds judges all of train and val; leave --data, --masks, --data-root, --shifts and --split out"
            )
        _by_folds(run, folds, as_json, quiet)
        return
    with work(as_json):
        result = evaluate(run, split=split, data=data, masks=masks, data_root=data_root, shifts=shifts)
    print_json(result) if as_json else say(report(result, data))


def _by_folds(run: str, folds: int, as_json: bool, quiet: bool) -> None:
    """Judge all of train and val; exits with 5 when it was interrupted."""
    from netwright.workflows.console import Console
    from netwright.workflows.folds import evaluate_folds

    with work(as_json):
        result = evaluate_folds(run, folds, console=Console(quiet=quiet, json=as_json))
    if result["interrupted"]:
        say(f"to go on: netwright evaluate {run} --folds {folds}", err=True)
    if as_json:
        print_json(result)
    elif not result["interrupted"]:
        say(folds_report(result))
    if result["interrupted"]:
        click.get_current_context().exit(INTERRUPTED)


def folds_report(result: Mapping[str, Any]) -> str:
    """What the networks of all folds say together: their accuracy and the labels that may be wrong."""
    metrics = result["metrics"]
    each = ", ".join(percent(fold).removesuffix(" %") for fold in metrics["fold_accuracies"])
    rows = [("accuracy", accuracy(metrics)), ("  of each fold", f"{each} %")]
    if metrics["not_judged"]:
        rows.append(
            ("not judged", f"{metrics['not_judged']:,}: held out, nothing of their class would be left in train")
        )
    head = f"{result['run']}: train and val in {result['folds']} folds, each judged by a network trained on the others"
    parts = ["", head, "", table(rows), ""]
    if metrics["suspects"]["images"]:
        parts += [_suspects(metrics, more="the list"), ""]
    else:
        parts += [f"no {_thing(metrics)} looks confidently like another class than its label", ""]
    parts += [
        f"{name:8s} {result[key]}"
        for key, name in (("list", "list"), ("plot", "picture"), ("report", "report"))
        if key in result
    ]
    return "\n".join(parts)


def report(result: Mapping[str, Any], data: str | None = None) -> str:
    """Everything that judges, as text: the deciding numbers first, then a line a class."""
    metrics = result["metrics"]
    on = f"on {data}" if data else f"on the {result['split']} split"
    rows = _rows(metrics) if "accuracy" in metrics else _number_rows(metrics)
    rows = mask_rows(metrics) if "mean_dice" in metrics else rows
    parts = [f"{result['run']} {on}, weights of epoch {result['epoch']}\n", table(rows)]
    if metrics.get("verdicts"):
        parts += ["", *metrics["verdicts"]]
    if metrics.get("per_class"):
        of_class = mask_classes if "mean_dice" in metrics else _per_class
        parts += ["", of_class(metrics["per_class"])]
    if metrics.get("shifts"):
        parts += ["", _shifts(metrics["shifts"])]
    if metrics.get("interval_methods"):
        methods = metrics["interval_methods"]
        parts += ["", next(text for name, text in INTERVALS.items() if name in methods or name == "accuracy")]
    if (metrics.get("suspects") or {}).get("images"):
        parts += ["", _suspects(metrics)]
        if result["split"] == "val":
            parts.append(f"in all of train and val: netwright evaluate {result['run']} --folds 5")
    if result.get("plot"):
        parts += ["", f"{'confusion matrix' if 'confusion_matrix' in metrics else 'picture'}: {result['plot']}"]
        parts += [f"report: {result['report']}"] if "report" in result else []
    return "\n".join([*parts, "", _last_line(result, data)])


def _rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    ends = metrics.get("intervals") or {}
    rows = [("accuracy", accuracy(metrics)), ("loss", with_interval(number, metrics.get("loss"), ends.get("loss")))]
    for k, value in (metrics.get("top_k") or {}).items():
        rows.append((f"top-{k} accuracy", with_interval(percent, value, ends.get("top_k", {}).get(k))))
    balanced = with_interval(percent, metrics.get("balanced_accuracy"), ends.get("balanced_accuracy"))
    rows.append(("balanced accuracy", balanced))
    names = {"precision_macro": "precision, macro", "recall_macro": "recall, macro", "f1_macro": "F1, macro"}
    names |= {"roc_auc": "ROC-AUC", "average_precision": "average precision"}
    rows += [
        (label, with_interval(_score, metrics[key], ends.get(key))) for key, label in names.items() if key in metrics
    ]
    rows[1:1] = [*_leaks(metrics), *_baselines(metrics.get("baselines") or {})]
    return rows + _calibration(metrics.get("calibration") or {})


def _number_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A regression's errors, each with its interval, and what always saying train's mean gives."""
    ends = metrics.get("intervals") or {}
    names = {"r2": "R²", "mae": "mean absolute error", "rmse": "root mean squared error"}
    names |= {"median_error": "median error", "bias": "bias"}
    rows = [(label, with_interval(number, metrics.get(key), ends.get(key))) for key, label in names.items()]
    mean = (metrics.get("baselines") or {}).get("mean")
    if mean:
        rows.append(("always the mean", f"MAE {number(mean['mae'])}, RMSE {number(mean['rmse'])}"))
    found = metrics.get("baselines") or {}
    rows += [(name, errors(found[key])) for key, name in OTHER_MODELS.items() if key in found]
    return [*rows, ("loss", number(metrics.get("loss"))), ("samples", f"{metrics['num_samples']:,}")]


def _leaks(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The accuracy on images without a twin in train, where some have one; how many leaks were allowed."""
    rows = []
    if "without_twins" in metrics:
        rows.append(("  without twins", f"{accuracy(metrics['without_twins'])}: no twin of theirs is in train or val"))
    if metrics.get("leaks_allowed"):
        rows.append(("  leaks allowed", f"{metrics['leaks_allowed']:,}: images (or groups) that two splits share"))
    return rows


def _baselines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What costs nothing to reach, beside the accuracy."""
    rows = []
    if found.get("majority"):
        rows.append(("  always the same", f"{accuracy(found['majority'])}: {found['majority']['label']}"))
    rows += [(f"  {name}", accuracy(found[key])) for key, name in OTHER_MODELS.items() if key in found]
    if found.get("nearest_neighbours"):
        near = found["nearest_neighbours"]
        of = f"the {near['neighbours']} nearest of {near['num_train']:,} train images"
        rows.append(("  nearest pixels", f"{accuracy(near)}: {of}"))
    return rows


def _calibration(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How far the probabilities that are shown are from the accuracies, and what the temperature did for them."""
    if found.get("ece") is None:
        return []
    text = with_interval(percent, found["ece"], found["intervals"]["ece"])
    brier = ("Brier score", with_interval(_score, found.get("brier"), found["intervals"].get("brier")))
    if found["temperature"] is None:
        return [("calibration error", f"{text}, of the network's own probabilities"), brier]
    before = percent(found["before"]["ece"])
    return [("calibration error", f"{text}, with temperature {found['temperature']:.3g}; {before} without"), brier]


def _per_class(records: list[dict[str, Any]]) -> str:
    """A table of one line a class, in the order of the classes; of many classes the worst by F1."""
    shown = records
    note = ""
    if len(records) > MOST_CLASSES:
        shown = sorted(records, key=lambda record: record["f1"] if record["f1"] is not None else 2.0)[:MOST_CLASSES]
        note = f"\nthe {MOST_CLASSES} classes of {len(records)} with the lowest F1; --json gives all"
    rows = [
        (
            record["label"],
            *(
                with_interval(_score, record[key], record.get(f"{key}_interval"))
                for key in ("precision", "recall", "f1")
            ),
            record["num_samples"],
        )
        for record in shown
    ]
    return table(rows, ("class", "precision", "recall", "F1", "n"), right=(4,)) + note


def _shifts(found: Mapping[str, Any]) -> str:
    """Accuracy by how far the images were moved."""
    rows = [(each["pixels"], with_interval(percent, each["accuracy"], each["interval"])) for each in found["shifts"]]
    low, high = (100 * end for end in found["lost_interval"])
    n = found["shifts"][0]["num_samples"]
    costs = f"moving the images costs up to {100 * found['lost']:.1f} points ({low:.1f} to {high:.1f})"
    return f"{table(rows, ('moved by', f'accuracy, mean of left, right, up, down (n = {n})'), right=(0,))}\n{costs}"


def _suspects(metrics: Mapping[str, Any], more: str = "--json, or the plots") -> str:
    """The images whose label may be wrong, five of them; `more` says where the others are."""
    found = metrics["suspects"]
    rows = [
        (each["source"], each["label"], f"{each['looks_like']} ({percent(each['probability'])})")
        for each in found["images"][:MOST_SUSPECTS]
    ]
    left = found["num_suspects"] - len(rows)
    note = f"\nand {left:,} more: {more}" if left else ""
    worth = (
        "about half of such labels are wrong"
        if metrics["accuracy"] >= TRUSTED
        else f"but with {percent(metrics['accuracy'])} right most are the network's mistakes, not wrong labels"
    )
    return f"look at these, {worth}:\n{table(rows, (_thing(metrics), 'label', 'looks like'))}{note}"


def _thing(metrics: Mapping[str, Any]) -> str:
    return "row" if "verdicts" in metrics else "image"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _last_line(result: Mapping[str, Any], data: str | None) -> str:
    if result.get("looks"):
        return looks(result["metrics"]["looks"])
    if data is None and result["split"] == "val" and has_test_split(result["run"]):
        return f"next: netwright evaluate {result['run']} --split test   # once the choice is made"
    return f"next: netwright predict {result['run']} {'ROWS.csv' if 'verdicts' in result['metrics'] else 'IMAGE…'}"
