"""The model card: what a bundle is, for people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Described = Mapping[str, Any]
MOST_CLASSES = 50


def card_of(bundle: Described) -> str:
    """Return the card of what bundle.json holds, as Markdown."""
    name = bundle["data"].get("name", "images")
    parts = [
        [f"# {bundle['model']['name']} for {name}", "", *_what(bundle)],
        ["## How good it is", "", *_metrics(bundle)],
        *([["## Classes", "", *_classes(bundle["class_names"])]] if bundle["class_names"] else []),
        ["## How to use it", "", *_use(bundle)],
        ["## Limits", "", *_limits(bundle)],
        ["## Made with", "", ", ".join(f"{what} {number}" for what, number in bundle["versions"].items()) + "."],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _thing(bundle: Described) -> str:
    """Return what it answers for: an image, or a row of a table."""
    return "row" if bundle["transform"]["kind"] == "rows" else "image"


def _what(bundle: Described) -> list[str]:
    num_train = bundle["data"].get("num_train")
    trained = f"on {num_train:,} {_thing(bundle)}s" if isinstance(num_train, int) else f"on {_thing(bundle)}s"
    words = CARDS[bundle["task"]]
    return [
        f"{words.kind(_thing(bundle), len(bundle['class_names']))} It was trained "
        f"{trained} of {bundle['data'].get('name', 'images')}; the weights are those of epoch {bundle['epoch']}.",
        "",
        f"- input: {_input(bundle)}",
        f"- data fingerprint: {str(bundle['data'].get('fingerprint', '?'))[:16]}",
    ]


def _input(bundle: Described) -> str:
    table = bundle["transform"].get("table")
    if table is not None:
        names = ", ".join(column["name"] for column in table["columns"])
        return f"rows with the columns {names}, read as bundle.json says"
    height, width = bundle["image_size"]
    kind = {1: "gray", 3: "RGB"}.get(bundle["in_channels"], f"{bundle['in_channels']}-channel")
    return f"{kind} images, {height} × {width} pixels after the preprocessing that bundle.json holds"


def _classifier(thing: str, num_classes: int) -> str:
    return f"{'An image' if thing == 'image' else 'A'} classifier: one of {num_classes} classes for each {thing}."


def _metrics(bundle: Described) -> list[str]:
    said = "the network's own, not calibrated."
    if bundle["temperature"] is not None:
        said = f"calibrated: the outputs are divided by the temperature {bundle['temperature']}."
    lines = []
    if not bundle["metrics"]:
        lines.append("Not known: there was no split to judge it on, so how it does on images it has not seen is open.")
    words = CARDS[bundle["task"]]
    lines += [words.line(split, metrics) for split, metrics in bundle["metrics"].items()]
    if "val" in bundle["metrics"]:
        lines += ["", f"The val split also chose the epoch, so its {words.too_good} a little too good."]
    return [*lines, "", f"Probabilities are {said}"] if words.probabilities else lines


def _accuracy(split: str, metrics: Mapping[str, Any]) -> str:
    """A line of a classification's metrics."""
    low, high = metrics["accuracy_interval"]
    views = f", mean of {metrics['views']} views" if metrics.get("views", 1) > 1 else ""
    return (
        f"- {split}: accuracy {metrics['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}, "
        f"n = {metrics['num_samples']}{views}), loss {metrics['loss']:.4g}"
    )


def _errors(split: str, metrics: Mapping[str, Any]) -> str:
    """A line of a regression's metrics."""
    low, high = metrics["mae_interval"] or (None, None)
    return (
        f"- {split}: mean absolute error {metrics['mae']:.4g} (95 % interval {low:.4g} to {high:.4g}, "
        f"n = {metrics['num_samples']}), R² {metrics['r2']:.4g}, loss {metrics['loss']:.4g}"
    )


def _of_masks(split: str, metrics: Mapping[str, Any]) -> str:
    """A line of a segmentation's metrics."""
    each = ", ".join(f"{name} {dice:.4f}" for name, dice in metrics["dice_of"].items() if dice is not None)
    return (
        f"- {split}: mean Dice {metrics['mean_dice']:.4f} ({each}), {metrics['accuracy']:.4f} of pixels right, mean "
        f"IoU {metrics['mean_iou']:.4f}, n = {metrics['num_samples']} images, loss {metrics['loss']:.4g}"
    )


@dataclass(frozen=True)
class Words:
    """What a task's card says: its kind, of a thing and how many classes; a line of a split's metrics; what val makes
    too good; an option of predict; whether there are probabilities to speak of."""

    kind: Callable[[str, int], str]
    line: Callable[[str, Mapping[str, Any]], str]
    too_good: str
    option: str = ""
    probabilities: bool = False


CARDS = {
    "classification": Words(_classifier, _accuracy, "accuracy is", probabilities=True),
    "regression": Words(
        lambda thing, num: f"It says one number for each {thing}, in the unit of the targets that it was trained on.",
        _errors,
        "errors are",
    ),
    "segmentation": Words(
        lambda thing, num: f"It gives masks: one of {num} classes for each pixel of an image.",
        _of_masks,
        "masks are",
        " --out-masks FOLDER",
    ),
}


def _classes(names: Sequence[str]) -> list[str]:
    rest = len(names) - MOST_CLASSES
    more = f" and {rest} more (bundle.json lists them)" if rest > 0 else ""
    return [", ".join(names[:MOST_CLASSES]) + more + "."]


def _use(bundle: Described) -> list[str]:
    given = {"network": bundle["model"]["name"] == "custom", "transform": bundle["transform"]["kind"] == "custom"}
    own = [part for part, is_own in given.items() if is_own]
    if own:
        return [f"In Python, with the {' and the '.join(own)} that it was trained with given again: nw.load(run, …)."]
    inputs = "IMAGES…" if _thing(bundle) == "image" else "ROWS.csv"
    return [
        f"    netwright predict BUNDLE {inputs}{CARDS[bundle['task']].option}",
        "",
        "BUNDLE is this folder, or the zip file of it.",
    ]


def _limits(bundle: Described) -> list[str]:
    thing = _thing(bundle)
    lines = [
        f"- It answers with one of its classes for any {thing}, also for what is none of them."
        if bundle["class_names"]
        else f"- It answers with a number for any {thing}, also for one that is like none of its data.",
        f"- How good it is was measured on {thing}s like those of its data; elsewhere it may be worse. Judge it on "
        f"{thing}s of your own first: netwright evaluate RUN --data {'FOLDER' if thing == 'image' else 'ROWS.csv'}.",
    ]
    kind: Any = (bundle["golden"] or {}).get("kind")
    said = {
        None: "- It carries no golden samples, so its answers can't be compared with those that it gave when trained.",
        "real": f"- Its golden samples are real {thing}s of its data: whoever has the bundle sees them.",
        "synthetic": "- Its golden samples are synthetic: blurred blends of 8 images each, with noise."
        if thing == "image"
        else "- Its golden samples are synthetic: each column of another row.",
    }
    return [*lines, said[kind]]
