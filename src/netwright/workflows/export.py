"""`netwright export`: a run's bundle as ONNX, as torch.export's file, or as one file, compared before it is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from netwright.config.sections import Runtime
from netwright.deployment.archive import archive_bytes
from netwright.deployment.bundle import bundle_members, load_bundle, load_golden, whole_members
from netwright.deployment.exported import module_engine, onnx_engine, torch_engine
from netwright.deployment.formats import onnx_bytes, torch_bytes, trace
from netwright.deployment.golden import BLENDED, NUM_GOLDEN, Golden, golden_outputs
from netwright.deployment.parity import Answers, Array, Engine, Judge, in_columns
from netwright.deployment.prediction import ANSWERING
from netwright.deployment.predictor import Predictor, load_predictor
from netwright.deployment.quantize import CALIBRATION_IMAGES, quantized
from netwright.deployment.whole import build_whole, example_images
from netwright.errors import InputError, WorkFailed
from netwright.evaluation.compare import paired_difference
from netwright.files.atomic import write_atomic
from netwright.runs.folder import RunFolder
from netwright.runtime.machine import applied, choose_machine
from netwright.workflows.golden import make_golden
from netwright.workflows.own import Own
from netwright.workflows.predict import locate
from netwright.workflows.predict_masks import refuse_masks
from netwright.workflows.split_images import SplitImages, open_split

Format = Literal["onnx", "torch", "bundle"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2", "bundle": ".zip"}
MOST_COMPARED = 256  # images of val
MOST_JUDGED = 2000  # where accuracy is to be told
SOURCES = {"golden": "golden sample", "noise": "image of noise", "val": "val image"}
NUM_NOISE = 16  # for a bundle without golden samples


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

    `format` null: by the suffix of `out`, else onnx. Raises InputError for what can't be exported, MachineError where a
    package is missing, WorkFailed where the file does not answer as the bundle."""
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
            refuse_masks(predictor, f"--format {format}, but for the bundle as it is,")
            given = _Given(predictor, folder, own, load_golden(bundle_path))
            if golden is not None:
                content = archive_bytes(_with_golden(given, bundle_path, golden))
            else:
                content, result = _int8(given) if int8 else _plain(given, format)
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
    return path, format or by_suffix.get(path.suffix, "onnx")


def _check_wishes(format: Format, int8: bool, golden: str | None) -> None:
    if int8 and format != "onnx":
        raise InputError(f"--int8 makes ONNX files, and the format is {format}; leave it out, or use --format onnx")
    if golden is not None and format != "bundle":
        raise InputError(f"--golden is about bundles, and the format is {format}; use --format bundle")


@dataclass(frozen=True)
class _Given:
    """What is to be exported, and what it is compared on."""

    predictor: Predictor
    folder: RunFolder | None
    own: Own
    golden: Golden | None

    def expected(self, images: torch.Tensor) -> Array:
        """Return the bundle's logits for images (N, h, w, C), on the way that a prediction goes."""
        transform = self.predictor.transform
        parts = torch.split(images, 64)
        network = self.predictor.network
        return torch.cat([golden_outputs(network, transform, self.own.transform, part) for part in parts]).numpy()

    def judge(self, who: str) -> Judge:
        task, temperature = self.predictor.bundle.task, self.predictor.bundle.temperature

        def read(logits: Array) -> Array:
            scores = task.answers(torch.from_numpy(np.asarray(logits, dtype=np.float32)))
            return in_columns(ANSWERING[task.name].rows(scores, temperature))

        return Judge(task.class_names, read, who)

    def samples(self) -> tuple[torch.Tensor, str]:
        """Return what is always there to compare on, and what it is called."""
        if self.golden is not None:
            return self.golden.images, "golden"
        return example_images(self.predictor.bundle, NUM_NOISE, seed=1), "noise"

    def split(self, name: str, most: int) -> SplitImages:
        return open_split(self.folder, self.own, self.predictor, name, most)


def _plain(given: _Given, format: Format) -> tuple[bytes, dict[str, Any]]:
    """Make an ONNX or torch file and prove it."""
    bundle = given.predictor.bundle
    program = trace(build_whole(given.predictor.network, bundle), example_images(bundle, 2))
    if format == "onnx":
        content = onnx_bytes(program, bundle)
        engine = onnx_engine(content)
    else:
        content = torch_bytes(program, bundle)
        engine = torch_engine(content)
    return content, _prove(given, engine)


def _prove(given: _Given, engine: Engine) -> dict[str, Any]:
    """Compare an engine with the bundle on the golden samples and on images of val. Raises WorkFailed."""
    images, kind = given.samples()
    expected = given.expected(images)
    compared = {kind: _compare(given, engine, images, SOURCES[kind], expected)}
    _check_kept(given, expected)
    val = given.split("val", MOST_COMPARED)
    if val.images is not None:
        compared["val"] = _compare(given, engine, val.images, SOURCES["val"], given.expected(val.images), val.names)
    return {"compared": compared, **({"not_compared": val.why_not} if val.why_not else {})}


def _compare(
    given: _Given, engine: Engine, images: torch.Tensor, kind: str, expected: Array, names: tuple[str, ...] = ()
) -> dict[str, Any]:
    sources = [f"{kind} {name}" for name in names or range(len(images))]
    # one image alone, and several at once: the number of images in a batch must not matter
    alone, together = engine(images[:1].numpy()), engine(images.numpy())
    judge = given.judge("the export")
    judge.compare(expected[:1], alone, sources[:1])
    return judge.compare(expected, together, sources).to_mapping()


def _check_kept(given: _Given, expected: Array) -> None:
    """Raise WorkFailed where the bundle itself answers otherwise than when it was made: another torch or processor."""
    if given.golden is None:
        return
    judge = given.judge("the bundle as it is computed here")
    kept = given.golden.logits.numpy()
    sources = [f"golden sample {number}" for number in range(len(kept))]
    judge.compare(kept, (expected, judge.read(expected)), sources)


def _int8(given: _Given) -> tuple[bytes, dict[str, Any]]:
    """Make a quantised ONNX file; say what it costs on val in place of a proof."""
    if not given.predictor.bundle.task.class_names:
        raise InputError("--int8 says what it costs in accuracy, and this network gives numbers; leave it out")
    train, val = given.split("train", CALIBRATION_IMAGES), given.split("val", MOST_JUDGED)
    if train.images is None or val.images is None:
        raise InputError(
            f"--int8 takes images of train to calibrate with and of val to say what it costs, and "
            f"{train.why_not or val.why_not}; export the run where its data are, or leave --int8 out"
        )
    whole = build_whole(given.predictor.network, given.predictor.bundle)
    plain = onnx_bytes(trace(whole, example_images(whole.bundle, 2)), whole.bundle)
    proof = _prove(given, onnx_engine(plain))
    content = quantized(plain, train.images.numpy())
    answers = onnx_engine(content)(val.images.numpy())
    expected = module_engine(whole)(val.images.numpy())
    cost = _cost(expected, answers, val)
    return content, {"compared": proof["compared"], "bytes_fp32": len(plain), "accuracy": {"val": cost}}


def _cost(expected: Answers, found: Answers, val: SplitImages) -> dict[str, Any]:
    """Return the accuracy before and after, and what is lost, with its interval by paired bootstrap over images."""
    if found[0].shape != expected[0].shape or not np.isfinite(found[0]).all():
        raise WorkFailed("the int8 file gives logits of another shape, or that are not finite; nothing was written")
    targets = val.targets
    assert targets is not None
    before, after = expected[1].argmax(axis=1), found[1].argmax(axis=1)
    right = before == targets, after == targets
    lost, won = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    ends = paired_difference(lost, won, len(targets))
    return {
        "fp32": float(right[0].mean()),
        "int8": float(right[1].mean()),
        "lost": (lost - won) / len(targets),
        "lost_interval": [0.0 - ends[1], 0.0 - ends[0]],
        "same_class": float((before == after).mean()),
        "num_samples": len(targets),
    }


def _with_golden(given: _Given, bundle_path: Path, kind: str) -> dict[str, bytes]:
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
