"""What can compute a prediction, by name; the command line checks them before torch is loaded."""

from typing import Literal

EngineName = Literal["auto", "torch", "onnx", "openvino"]
ENGINES: tuple[EngineName, ...] = ("auto", "torch", "onnx", "openvino")
Precision = Literal["auto", "fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16")
