"""What computes a network's outputs when it predicts: torch with its layers fused, ONNX Runtime, OpenVINO.

An engine is a function from images as the network takes them, (B, C, H, W) float32, to its outputs in float32. The road
before (decoding, scaling) and after (views, temperature) is the predictor's, whatever computes.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from netwright.config.engines import EngineName
from netwright.deployment.formats import model_proto, trace
from netwright.deployment.packages import need, quietly
from netwright.errors import WorkFailed
from netwright.runtime.machine import Machine

Forward = Callable[[Tensor], Tensor]
# of the largest logit: other engines add in another order; bf16 has 8 bits
TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2}
_PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino")}


@dataclass(frozen=True)
class Engine:
    """Something that computes a network: images (B, C, H, W) float32 -> outputs (B, num_outputs) float32 on the CPU."""

    name: EngineName
    forward: Forward


def build_engine(name: EngineName, network: nn.Module, machine: Machine, as_onnx: Callable[[], bytes]) -> Engine:
    """Build an engine for a network in eval mode; onnx and openvino read it from what `as_onnx` gives.

    They compute on the CPU. Raises MachineError where a package is missing, and what `as_onnx` raises."""
    if name == "torch":
        return Engine(name, torch_forward(fused(network), machine))
    need(*_PACKAGES[name], extra=name)
    made = _onnx_forward(as_onnx(), machine) if name == "onnx" else _openvino_forward(as_onnx(), machine)
    return Engine(name, made)


def torch_forward(network: nn.Module, machine: Machine) -> Forward:
    """Return the network as a function, in the machine's precision and memory format."""

    def forward(images: Tensor) -> Tensor:
        with torch.inference_mode(), machine.autocast():
            outputs: Tensor = network(machine.arrange(images.to(machine.device)))
        return outputs.float().cpu()

    return forward


def fused(network: nn.Module) -> nn.Module:
    """Return a copy in which every batch norm that follows a convolution is part of its weights.

    A network whose forward can't be traced (it branches on values) is returned itself."""
    try:
        traced = fx.symbolic_trace(copy.deepcopy(network))
    except Exception:  # a network of the user's own may fail in any way
        return network
    modules = dict(traced.named_modules())
    calls = [node for node in traced.graph.nodes if node.op == "call_module"]
    num_calls = {node.target: sum(other.target == node.target for other in calls) for node in calls}
    for norm in calls:
        (before,) = norm.args if len(norm.args) == 1 else (None,)
        if not (isinstance(before, fx.Node) and before.op == "call_module" and len(before.users) == 1):
            continue
        first, second = modules[str(before.target)], modules[str(norm.target)]
        if type(first) is not nn.Conv2d or type(second) is not nn.BatchNorm2d or second.running_mean is None:
            continue
        if num_calls[before.target] > 1 or num_calls[norm.target] > 1:
            continue  # a layer that is called twice is not followed by the same norm twice
        traced.set_submodule(str(before.target), fuse_conv_bn_eval(first, second))
        norm.replace_all_uses_with(before)
        traced.graph.erase_node(norm)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


def check_alike(engine: Engine, network: nn.Module, images: Tensor, machine: Machine) -> float:
    """Return how far an engine's outputs for some images are from the plain network's in fp32, in parts of the largest.

    Raises WorkFailed when that is more than the precision explains."""
    with torch.inference_mode():
        expected = network(machine.arrange(images.to(machine.device))).float().cpu().numpy()
    found = engine.forward(images).numpy()
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    apart = np.where(found == expected, 0.0, np.abs(found - expected)) if found.shape == expected.shape else [np.inf]
    difference = float(np.nan_to_num(apart, nan=np.inf).max())
    tolerance = TOLERANCES[machine.precision]
    if not difference <= tolerance * largest:
        advice = "" if engine.name == "torch" else "; use --engine torch"
        raise WorkFailed(
            f"the engine {engine.name} does not answer as the network: its outputs are up to {difference:.3g} apart, "
            f"where {tolerance * largest:.3g} is allowed ({tolerance:g} of the largest){advice}"
        )
    return difference / largest if largest else 0.0


def onnx_content(network: nn.Module, images: Tensor) -> bytes:
    """Return a network in eval mode as ONNX in fp32; `images` are some that it takes.

    Raises InputError for a network that torch.export can't trace or ONNX can't hold."""
    own = copy.deepcopy(network).to("cpu").to(memory_format=torch.contiguous_format).requires_grad_(False).eval()
    pair = images[:1].to("cpu").repeat(2, *(1,) * (images.dim() - 1)).contiguous()  # one image would be no batch
    content: bytes = model_proto(trace(own, pair), ["logits"]).SerializeToString()
    return content


def _onnx_forward(content: bytes, machine: Machine) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = machine.threads, 1
    options.log_severity_level = 3
    # threads that wait for work in a loop would take the cores from those that decode
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def forward(images: Tensor) -> Tensor:
        (outputs,) = session.run(None, {"images": images.contiguous().numpy()})
        return torch.from_numpy(outputs)

    return forward


def _openvino_forward(content: bytes, machine: Machine) -> Forward:
    with quietly():
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": machine.threads,
            "INFERENCE_PRECISION_HINT": "bf16" if machine.precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # processes beside each other would all be pinned to the first cores
        }
        request = core.compile_model(core.read_model(content), "CPU", settings).create_infer_request()

    def forward(images: Tensor) -> Tensor:
        outputs = request.infer({0: images.contiguous().numpy()}, share_inputs=True)
        return torch.from_numpy(np.array(outputs[0]))

    return forward
