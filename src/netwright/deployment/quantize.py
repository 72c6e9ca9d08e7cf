"""int8: an ONNX file with 8-bit weights and activations, calibrated on images of train."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netwright.deployment.golden import images_at_once
from netwright.deployment.packages import need, quietly
from netwright.deployment.parity import Array

# Where the arithmetic is. What comes before the first of them (scaling, views) stays in fp32, and so does softmax.
QUANTIZED = ["Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat"]
CALIBRATION_IMAGES = 128
CALIBRATION_PIXELS = 2**22  # of masks, where each pixel is a sample: 16 images of 512 × 512


def calibration_images(each_pixel: bool, image_size: tuple[int, int]) -> int:
    """Return how many images of train are enough to know the ranges of activations."""
    few = max(1, CALIBRATION_PIXELS // (image_size[0] * image_size[1]))
    return min(CALIBRATION_IMAGES, few) if each_pixel else CALIBRATION_IMAGES


def quantized(content: bytes, calibration: Array) -> bytes:
    """Quantise an ONNX file of ours: per-channel int8 weights, uint8 activations, ranges from calibration images
    (N, H, W, C) of train.

    Weights use 7 of their 8 bits: without VNNI the products of two 8-bit numbers saturate, and a file made where there
    is VNNI would be wrong elsewhere (ONNX Runtime's `reduce_range`)."""
    need("onnx", "onnxruntime")
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    original = onnx.load_model_from_string(content)
    with tempfile.TemporaryDirectory(prefix="netwright-") as folder, quietly():
        given, prepared, made = (str(Path(folder) / f"{name}.onnx") for name in ("given", "prepared", "made"))
        Path(given).write_bytes(content)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            made,
            _reader(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED,
            nodes_to_exclude=_before_the_network(onnx.load(prepared)),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        result = onnx.load(made)
    about = {entry.key: entry.value for entry in original.metadata_props} | {"quantized": "int8"}
    del result.metadata_props[:]
    onnx.helper.set_model_props(result, about)
    result.producer_name, result.producer_version = original.producer_name, original.producer_version
    return bytes(result.SerializeToString())


def _before_the_network(model: Any) -> list[str]:
    """Return the names of the nodes that only scale and lay out the pixels: those before the first with weights."""
    names = []
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            break
        names.append(node.name)
    return names


def _reader(images: Array) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands the calibration images out, at most 16 at a time."""

        def __init__(self) -> None:
            step = images_at_once(images.shape[1:3], most=16)
            self._parts: Iterator[dict[str, Array]] = iter(
                {"images": images[start : start + step]} for start in range(0, len(images), step)
            )

        def get_next(self) -> dict[str, Array] | None:
            return next(self._parts, None)

    return Reader()
