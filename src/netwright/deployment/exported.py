"""Running what was exported, as whoever gets the file would: images in, logits and probabilities out."""

import io
from typing import Any

import numpy as np
import torch

from netwright.deployment.golden import images_at_once
from netwright.deployment.packages import need
from netwright.deployment.parity import Array, Engine


def onnx_engine(content: bytes, threads: int = 1) -> Engine:
    """Return a function that runs an ONNX file of ours with ONNX Runtime on the CPU."""
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(images: Array) -> tuple[Array, Array]:
        step = images_at_once(images.shape[1:3])
        parts = [session.run(None, {"images": images[at : at + step]}) for at in range(0, len(images), step)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    return run


def torch_engine(content: bytes) -> Engine:
    """Return a function that runs a .pt2 file with torch on the CPU."""
    module: Any = torch.export.load(io.BytesIO(content)).module()
    return module_engine(module)


def module_engine(module: Any) -> Engine:
    """Return a function that runs an `nn.Module` from pixels to (logits, probabilities)."""

    def run(images: Array) -> tuple[Array, Array]:
        step = images_at_once(images.shape[1:3])
        with torch.no_grad():
            parts = [module(torch.from_numpy(images[at : at + step])) for at in range(0, len(images), step)]
        return tuple(torch.cat([part[place] for part in parts]).numpy() for place in (0, 1))  # type: ignore[return-value]

    return run
