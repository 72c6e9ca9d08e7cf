"""`netwright export`: a run as ONNX, as torch.export's file, or as one file of its bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from netwright.cli.options import output_options, remember_run
from netwright.cli.text import percent, print_json, say, size, with_interval, work


@click.command("export", short_help="Write a run as ONNX, torch.export or one zip file, compared first.")
@click.argument("run")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["onnx", "torch", "bundle"]),
    help="What to write. [by the suffix of --out: .onnx, .pt2, .zip]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to. [the run's name with that suffix]"
)
@click.option("--int8", is_flag=True, help="ONNX in 8 bits, calibrated on train; says what that costs on val.")
@click.option(
    "--golden",
    type=click.Choice(["real", "synthetic", "none"]),
    help="Give the bundle other golden samples; real ones are seen by whoever gets the file.",
)
@output_options
def command(run: str, layout: Any, out: Path | None, int8: bool, golden: Any, as_json: bool, quiet: bool) -> None:
    """Write RUN (a run folder, its name, or a bundle) as one file that answers without netwright, or as one bundle.

    It takes uint8 pixels (B, H, W, C) of the network's input size, for masks of nearly any: scaling is inside. Before
    it is written it has answered like the bundle on the golden samples and, where the data are at hand, on images of
    val; otherwise exit 6.
    """
    from netwright.workflows.export import export

    remember_run(run)
    with work(as_json):
        result = export(run, format=layout, out=out, int8=int8, golden=golden)
    if as_json:
        print_json(result)
        return
    say(_text(result))
    if not quiet and result["format"] == "bundle":
        say(f"\nnext: netwright predict {result['file']} FILE…")


def _text(result: Mapping[str, Any]) -> str:
    """What was written, and how near its answers are."""
    lines = [f"{result['format']:<9} {result['file']} ({size(result['bytes'])}{_before(result)})"]
    said = {"golden": "golden samples", "noise": "images of noise", "val": "val images"}
    said["other_size"] = "images of noise of another size"
    pixels = " pixels" if "size_multiple" in result else ""
    for name, parity in result.get("compared", {}).items():
        ties = f" but for {parity['num_ties']}{pixels} by a tie" if parity["num_ties"] else ""
        near = f"{parity['relative_difference']:.1e} of the largest ({parity['tolerance']:.0e} allowed)"
        what = "fp32" if result["int8"] else "compared"
        logits, same = ("numbers", "") if result.get("task") == "regression" else ("logits", f", the same class{ties}")
        lines.append(f"{what:<9} on {parity['num_images']} {said[name]}: {logits} within {near}{same}")
    for split, cost in result.get("accuracy", {}).items():
        lost = with_interval(percent, cost["lost"], cost["lost_interval"])
        what = "right pixels" if "num_pixels" in cost else "accuracy"
        lines.append(
            f"int8      {split} {what} {percent(cost['int8'])}, fp32 {percent(cost['fp32'])}: lost {lost}, "
            f"n = {cost['num_samples']}; the same class for {percent(cost['same_class'])}"
        )
    if "size_multiple" in result:
        lines.append(f"takes     images of any height and width that are multiples of {result['size_multiple']}")
    if "not_compared" in result:
        lines.append(f"not on    val images: {result['not_compared']}")
    return "\n".join(lines)


def _before(result: Mapping[str, Any]) -> str:
    return f"; fp32 {size(result['bytes_fp32'])}" if "bytes_fp32" in result else ""
