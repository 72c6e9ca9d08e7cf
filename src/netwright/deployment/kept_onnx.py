"""A bundle's network as ONNX, kept in the cache: making it takes 3 to 11 s, nearly all that an engine takes."""

import hashlib
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np
from torch import Tensor, nn

from netwright.deployment.engines import onnx_content
from netwright.deployment.packages import need
from netwright.deployment.predictor import Predictor
from netwright.files.blocks import find_block, open_block

_MAKERS = ("torch", "onnx", "onnxscript", "netwright")  # another version of one may make another file
_KNOWN_ROOMS = ("netwright", "torchvision", "timm", "torch")


def kept_onnx(predictor: Predictor, images: Tensor) -> bytes:
    """Return the predictor's network as ONNX in fp32, from the cache or made now and kept there.

    It is kept by the network's name and arguments, its weights and the size of `images`; a network of the user's own,
    whose code may change, is made each time. Raises what `onnx_content` does."""
    if predictor.bundle.model.name == "custom" or type(predictor.network).__module__.split(".")[0] not in _KNOWN_ROOMS:
        return onnx_content(predictor.network, images)
    need("onnx", "onnxscript", extra="onnx")
    key = {
        "kind": "onnx",
        "model": msgspec.to_builtins(predictor.bundle.model),
        "output": predictor.bundle.task.output,
        "weights": _digest(predictor.network),
        "shape": list(images.shape[1:]),
        "versions": {name: version(name) for name in _MAKERS},
    }
    block = find_block(key)
    if block is None:
        content = np.frombuffer(onnx_content(predictor.network, images), np.uint8)

        def fill(values: Any) -> dict[str, Any]:
            values[:] = content
            return {}

        title = f"{predictor.bundle.model.name} as ONNX, for predictions"
        block = open_block(key, title=title, size=len(content), dtype="uint8", fill=fill)
    return block.values.tobytes()


def _digest(network: nn.Module) -> str:
    """Return the SHA-256 of all weights and buffers, with their names and shapes."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
