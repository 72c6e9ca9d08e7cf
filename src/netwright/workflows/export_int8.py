"""`netwright export --int8`: an ONNX file in 8 bits, and what that costs on val."""

from typing import Any

import numpy as np

from netwright.deployment.exported import module_engine, onnx_engine
from netwright.deployment.formats import onnx_bytes
from netwright.deployment.quantize import calibration_images, quantized
from netwright.deployment.whole import build_whole
from netwright.errors import InputError, WorkFailed
from netwright.workflows.export_proof import Given, prove
from netwright.workflows.export_traced import traced
from netwright.workflows.judging import JUDGINGS

MOST_JUDGED = 2000  # images of val


def quantise(given: Given) -> tuple[bytes, dict[str, Any]]:
    """Make a quantised ONNX file; say what it costs on val in place of a proof."""
    bundle = given.predictor.bundle
    if not bundle.task.class_names:
        raise InputError("--int8 says what it costs in accuracy, and this network gives numbers; leave it out")
    train, val = (
        given.split("train", calibration_images(given.each_pixel, bundle.image_size)),
        given.split("val", MOST_JUDGED),
    )
    if train.images is None or val.images is None:
        raise InputError(
            f"--int8 takes images of train to calibrate with and of val to say what it costs, and "
            f"{train.why_not or val.why_not}; export the run where its data are, or leave --int8 out"
        )
    whole = build_whole(given.predictor.network, bundle)
    made = traced(whole)
    plain = onnx_bytes(made.program, bundle, made.multiple)
    proof = prove(given, onnx_engine(plain), made.multiple)
    content = quantized(plain, train.images.numpy())
    answers = onnx_engine(content)(val.images.numpy())
    expected = module_engine(whole)(val.images.numpy())
    if answers[0].shape != expected[0].shape or not np.isfinite(answers[0]).all():
        raise WorkFailed("the int8 file gives logits of another shape, or that are not finite; nothing was written")
    classes = expected[1].argmax(axis=1), answers[1].argmax(axis=1)
    cost = JUDGINGS[bundle.task.name].lost(*classes, val.targets)
    return content, {"compared": proof["compared"], "bytes_fp32": len(plain), "accuracy": {"val": cost}} | made.said()
