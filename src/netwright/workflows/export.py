"""`netwright export`: a run's bundle as ONNX, as torch.export's file, or as one file, compared before it is written."""

from pathlib import Path
from typing import Any, Literal

from netwright.config.sections import Runtime
from netwright.deployment.archive import archive_bytes
from netwright.deployment.bundle import bundle_members, load_bundle, load_golden, whole_members
from netwright.deployment.exported import onnx_engine, torch_engine
from netwright.deployment.formats import onnx_bytes, torch_bytes
from netwright.deployment.golden import BLENDED, NUM_GOLDEN
from netwright.deployment.predictor import load_predictor
from netwright.deployment.whole import build_whole
from netwright.errors import InputError, listed
from netwright.files.atomic import write_atomic
from netwright.runtime.machine import applied, choose_machine
from netwright.workflows.export_int8 import quantise
from netwright.workflows.export_proof import Given, prove
from netwright.workflows.export_traced import traced
from netwright.workflows.golden import make_golden
from netwright.workflows.own import Own
from netwright.workflows.predict import locate

Format = Literal["onnx", "torch", "bundle"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2", "bundle": ".zip"}


def export(
    run: str | Path,
    *,
    format: Format | None = None,
    out: str | Path | None = None,
    int8: bool = False,
    golden: Literal["real", "synthetic", "none"] | None = None,
) -> dict[str, Any]:
    """Export a run, by its folder or name, or a bundle; see `export_run`."""
    return export_run(run, Own(), format=format, out=out, int8=int8, golden=golden)


def export_run(
    run: str | Path,
    own: Own,
    *,
    format: Format | None,
    out: str | Path | None,
    int8: bool = False,
    golden: Literal["real", "synthetic", "none"] | None = None,
) -> dict[str, Any]:
    """Write one file, after it was compared with the bundle; return what `netwright export --json` prints.

    `format` null: by the suffix of `out`, onnx without `out`. Raises InputError for what can't be exported,
    MachineError where a package is missing, WorkFailed where the file does not answer as the bundle."""
    path, format = _target(run, out, format)
    _check_wishes(format, int8, golden)
    bundle_path, folder = locate(run)
    result: dict[str, Any] = {}
    if format == "bundle" and golden is None:
        content = archive_bytes(whole_members(bundle_path))
    else:
        machine = choose_machine(Runtime(device="cpu", precision="fp32", memory_format="contiguous"))
        with applied(machine):
            predictor = load_predictor(bundle_path, machine, model=own.model, transform=own.transform)
            given = Given(predictor, folder, own, load_golden(bundle_path))
            if golden is not None:
                content = archive_bytes(_with_golden(given, bundle_path, golden))
            else:
                content, result = quantise(given) if int8 else _plain(given, format)
                result |= {"task": predictor.bundle.task.name}
    write_atomic(path, content)
    return {"run": str(run), "format": format, "file": str(path), "bytes": len(content), "int8": int8} | result


def _target(run: str | Path, out: str | Path | None, format: Format | None) -> tuple[Path, Format]:
    by_suffix: dict[str, Format] = {suffix: name for name, suffix in SUFFIXES.items()}
    if out is None:
        format = format or "onnx"
        return Path(Path(run).name).with_suffix(SUFFIXES[format]), format
    path = Path(out)
    if path.is_dir():
        raise InputError(f"{path} is a folder; --out is the file to be written, such as {path / 'model.onnx'}")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not there; make it, or choose another --out")
    found = format or by_suffix.get(path.suffix)
    if found is None:
        raise InputError(
            f"{path} ends in none of {listed(by_suffix)}; name it so, or say which it is with --format "
            f"{'|'.join(SUFFIXES)}"
        )
    return path, found


def _check_wishes(format: Format, int8: bool, golden: str | None) -> None:
    if int8 and format != "onnx":
        raise InputError(f"--int8 makes ONNX files, and the format is {format}; leave it out, or use --format onnx")
    if golden is not None and format != "bundle":
        raise InputError(f"--golden is about bundles, and the format is {format}; use --format bundle")


def _plain(given: Given, format: Format) -> tuple[bytes, dict[str, Any]]:
    """Make an ONNX or torch file and prove it."""
    bundle = given.predictor.bundle
    made = traced(build_whole(given.predictor.network, bundle))
    if format == "onnx":
        content = onnx_bytes(made.program, bundle, made.multiple)
        engine = onnx_engine(content)
    else:
        content = torch_bytes(made.program, bundle, made.multiple)
        engine = torch_engine(content)
    return content, prove(given, engine, made.multiple) | made.said()


def _with_golden(given: Given, bundle_path: Path, kind: str) -> dict[str, bytes]:
    """Return a bundle's members with golden samples of another kind."""
    bundle, weights = load_bundle(bundle_path)
    if kind == "none":
        return bundle_members(bundle, weights, None)
    split = given.split("val", NUM_GOLDEN * BLENDED)
    if split.prepared is None:
        split = given.split("train", NUM_GOLDEN * BLENDED)
    if split.prepared is None:
        raise InputError(f"--golden {kind} takes images of the run's data, and {split.why_not}; leave it out")
    return bundle_members(bundle, weights, make_golden(kind, split.prepared, given.predictor.network))
