"""What a network can be exported to: ONNX and torch.export, as the bytes of one file."""

import io
import json
import re
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from netwright.deployment.bundle import Bundle
from netwright.deployment.packages import need, quietly
from netwright.errors import InputError

MOST_BYTES = 2**31 - 2**20  # protobuf holds no more in one file
SIDES = {1: "height", 2: "width"}  # of images (B, H, W, C)


def trace(network: nn.Module, images: Tensor, multiple: int | None = None) -> ExportedProgram:
    """Trace a network for any batch size, from two images or more; with `multiple` for images (B, H, W, C) of any
    height and width that are multiples of it. Raises InputError where torch.export can't."""
    sizes: dict[int, Any] = {0: Dim("batch", min=1)}
    if multiple is not None:
        sizes |= {place: multiple * Dim(name, min=1) for place, name in SIDES.items()}
    try:
        with torch.no_grad(), quietly():
            return torch.export.export(network, (images,), dynamic_shapes=(sizes,))
    except Exception as error:  # a network of the user's own may fail in any way
        first = str(error).strip().split("\n")[0]
        raise InputError(
            f"torch.export can't trace {_named(network)} ({type(error).__name__}: {first}); write its "
            "forward without branches on values and with any batch size"
        ) from error


def onnx_bytes(program: ExportedProgram, bundle: Bundle, multiple: int | None = None) -> bytes:
    """Return the ONNX file: `images` -> `logits`, `probabilities` (or `values`), with metadata that explains them.
    `multiple` as in `trace`.

    Raises MachineError where the packages are missing, InputError for a network that ONNX can't hold."""
    need("onnx", "onnxscript", "onnxruntime")
    proto = model_proto(program, ["logits", "probabilities" if bundle.task.class_names else "values"])
    _name_sides(proto.graph, multiple)
    for key, value in metadata(bundle, multiple).items():
        proto.metadata_props.add(key=key, value=value)
    content: bytes = proto.SerializeToString(deterministic=True)
    if len(content) > MOST_BYTES:
        raise InputError(
            f"the ONNX file would have {len(content):,} bytes, and one file holds 2 GiB; use --format torch"
        )
    return content


def model_proto(program: ExportedProgram, output_names: list[str]) -> Any:
    """Return a traced network as ONNX: `images` -> the outputs. Raises InputError for what ONNX can't hold."""
    names = {"input_names": ["images"], "output_names": output_names}
    try:
        with quietly():
            made = torch.onnx.export(program, (), dynamo=True, verbose=False, **names)  # type: ignore[arg-type]
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        raise InputError(
            f"ONNX can't hold this network ({type(error).__name__}: {first}); torch can: --format torch, --engine torch"
        ) from error
    assert made is not None
    proto = made.model_proto
    _strip(proto)
    _name_batch(proto.graph)
    proto.producer_name, proto.producer_version = "netwright", version("netwright")
    return proto


def _named(network: nn.Module) -> str:
    return type(getattr(network, "network", network)).__name__  # of a WholeNetwork the network in it


def _strip(proto: Any) -> None:
    """Take out what the exporter notes of this machine: lines and paths of the source, beside each node."""
    del proto.metadata_props[:]
    parts = [proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.value_info]
    for function in proto.functions:
        parts += [function, *function.node, *function.value_info]
    for part in [*parts, *proto.graph.initializer]:
        del part.metadata_props[:]
        part.doc_string = ""


def _name_batch(graph: Any) -> None:
    """Call the number of images in a batch `batch`, where torch calls it s34."""
    traced = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(rf"\b{re.escape(traced)}\b", "batch", dim.dim_param)


def _name_sides(graph: Any, multiple: int | None) -> None:
    """Call the images' sides `height` and `width`, and half of one height/2, where torch says 16*s77 and 8*s77."""
    if multiple is None:
        return
    given = graph.input[0].type.tensor_type.shape.dim
    symbols = {given[place].dim_param.rpartition("*")[2]: name for place, name in SIDES.items()}

    def named(found: re.Match[str]) -> str:
        parts = multiple // int(found[1] or 1)
        return symbols[found[2]] + (f"/{parts}" if parts > 1 else "")

    pattern = re.compile(rf"\b(?:(\d+)\*)?({'|'.join(map(re.escape, symbols))})\b")
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = pattern.sub(named, dim.dim_param)


def metadata(bundle: Bundle, multiple: int | None = None) -> dict[str, str]:
    """Return what an export says of itself, text to text; what is not text is JSON."""
    described = bundle.to_mapping()
    values = {name: described[name] for name in ("class_names", "transform", "temperature", "epoch", "metrics", "data")}
    plain = {name: str(described[name]) for name in ("task", "output")} | {"model": bundle.model.name}
    versions = described["versions"] | {"netwright": version("netwright")}
    values = {**values, "versions": versions, **({"size_multiple": multiple} if multiple is not None else {})}
    return plain | {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def torch_bytes(program: ExportedProgram, bundle: Bundle, multiple: int | None = None) -> bytes:
    """Return the .pt2 file; `metadata.json` inside is what an ONNX file has as metadata. `multiple` as in `trace`."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)  # lines and paths of the source on this machine
    target = io.BytesIO()
    torch.export.save(program, target, extra_files={"metadata.json": json.dumps(metadata(bundle, multiple))})
    return target.getvalue()
