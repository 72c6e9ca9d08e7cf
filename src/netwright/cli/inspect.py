"""`netwright inspect`: the layers of a network, and where it looks on images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from netwright.cli.options import output_options, remember_run
from netwright.cli.text import percent, print_json, say, table, work


@click.command("inspect", short_help="Look inside a network: its layers, Grad-CAM, filters, feature maps.")
@click.argument("run")
@click.argument("paths", nargs=-1, metavar="[IMAGES...]")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Where pictures go. [inspection]"
)
@click.option("--class", "label", metavar="NAME", help="Explain this class. [the likeliest of each image]")
@click.option("--layer", metavar="NAME", help="Look at this layer. [the last with places; first convolution]")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Fold the table. [the deepest of 40 rows]")
@output_options
def command(
    run: str,
    paths: Sequence[str],
    out: Path | None,
    label: str | None,
    layer: str | None,
    depth: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Look inside the network of RUN: a run folder, its name, or a bundle.

    Prints its layers. With IMAGES (files or folders, the first 12) it draws what on them speaks for a class (Grad-CAM),
    the filters of the first convolution and the feature maps of each image.
    """
    from netwright.workflows.inspect import inspect

    remember_run(run)
    with work(as_json):
        result = inspect(run, paths, out=out, layer=layer, label=label, depth=depth)
    if as_json:
        print_json(result)
        return
    parts = [] if paths else [_layers(result["summary"])]
    if "images" in result:
        parts.append(_images(result))
    parts += [_pictures(result["pictures"])] if "pictures" in result else []
    following = f"inspect {run} IMAGE…   # where it looks"
    if result["takes"] == "rows":
        following = f"report {run}   # which columns it goes by"
    parts += [] if quiet or paths else [f"next: netwright {following}"]
    say("\n\n".join(parts))


def _layers(summary: Mapping[str, Any]) -> str:
    """A line a layer, and the sum."""
    rows = [
        (
            f"{layer['name'] or summary['kind']}{' (its own)' if layer['own'] else ''}",
            layer["kind"],
            _shapes(layer),
            f"{layer['num_parameters']:,}" if layer["num_parameters"] else "-",
            _state(layer),
        )
        for layer in summary["layers"]
    ]
    frozen = f", {summary['num_frozen']:,} of them frozen" if summary["num_frozen"] else ""
    shape = " × ".join(map(str, summary["input_shape"]))
    total = f"{summary['num_parameters']:,} parameters{frozen}; input {shape}"
    text = f"{table(rows, ('layer', 'kind', 'output', 'parameters', ''), right=(3,))}\n\n{total}"
    return (
        f"{text}\n\n{_stages(summary['stages'])}"
        if any(_begins(each) != "trained" for each in summary["stages"])
        else text
    )


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    """A line a stage: what was trained, and from which epoch on."""
    rows = [(stage["name"], f"{stage['num_parameters']:,}", _begins(stage)) for stage in stages]
    return table(rows, ("stage", "parameters", ""), right=(1,))


def _begins(stage: Mapping[str, Any]) -> str:
    if stage["begins"] is None:
        return "frozen"
    return "trained" if stage["begins"] == 1 else f"trained from epoch {stage['begins']} on"


def _shapes(layer: Mapping[str, Any]) -> str:
    """The shape of the first tensor without the batch, and how many more there are."""
    shapes = layer["output_shapes"]
    if not shapes:
        return "-"
    first = [str(size) for size in shapes[0] if size is not None]
    more = f" and {len(shapes) - 1} more" if len(shapes) > 1 else ""
    return (" × ".join(first) or "1") + more


def _state(layer: Mapping[str, Any]) -> str:
    """What is unusual about a layer: not used, used again, frozen."""
    words = []
    if not layer["num_calls"]:
        words.append("not called")
    if layer["num_calls"] > 1:
        words.append(f"called {layer['num_calls']} times")
    if layer["num_frozen"]:
        whole = layer["num_frozen"] == layer["num_parameters"]
        words.append("frozen" if whole else f"{layer['num_frozen']:,} frozen")
    return ", ".join(words)


def _images(result: Mapping[str, Any]) -> str:
    """A line an image: what was explained, and where most of it lies."""
    rows: list[Sequence[object]] = [
        (each["source"], each["label"], percent(each["probability"]), _place(each["peak"]), _but(each))
        for each in result["images"]
    ]
    rows += [
        (each["source"], "-", "-", each["message"].removeprefix(f"{each['source']}: "), "") for each in result["errors"]
    ]
    text = table(rows, ("image", "class", "probability", "most of it", ""), right=(2,))
    return text + (f"\n{result['left_out']} more images were left out" if result["left_out"] else "")


def _but(each: Mapping[str, Any]) -> str:
    return "" if each["predicted"] == each["label"] else f"predicted: {each['predicted']}"


def _place(peak: Sequence[float] | None) -> str:
    """Where on the image, in words: "top left", "centre"."""
    if peak is None:
        return "nowhere"
    row, column = (min(2, int(3 * part)) for part in peak)
    words = [("top", "", "bottom")[row], ("left", "", "right")[column]]
    return " ".join(word for word in words if word) or "centre"


def _pictures(pictures: Sequence[Mapping[str, str]]) -> str:
    names = {"grad_cam": "Grad-CAM", "filters": "filters", "feature_maps": "feature maps"}
    rows = [(names[each["kind"]], each["path"], f"at {each['layer']}") for each in pictures]
    return table(rows)
