"""The network as source: nn.Sequential with named layers for our own, torchvision.models for the others."""

from collections import Counter
from collections.abc import Iterator

from torch import nn

from netwright.config.models import AlexNet, Cnn, CustomModel, Model, TorchvisionModel
from netwright.deployment.eject.code import Call, call, named
from netwright.deployment.eject.layers import LAYERS, MAXOUT, SCALE, NetworkCode, layer_call
from netwright.deployment.eject.torchvision_network import torchvision_code
from netwright.errors import InputError
from netwright.models.cnn import GlobalPool, ScaledHead
from netwright.models.layers import Maxout
from netwright.models.torchvision_models import architecture_names
from netwright.models.whitening import Whitening

_RETURNED = ["    return nn.Sequential(layers)"]


def network_code(model: Model, network: nn.Module, image_size: tuple[int, int], num_outputs: int) -> NetworkCode:
    """Write the network. Raises InputError for one that isn't netwright's or torchvision's own."""
    if isinstance(model, (TorchvisionModel, AlexNet)) and model.name in architecture_names():
        return torchvision_code(model, network, image_size, num_outputs)
    if isinstance(model, (CustomModel, TorchvisionModel)):
        name = getattr(model, "type", "") or getattr(model, "name", "")
        raise InputError(f"the network is {name}, which is neither netwright's nor torchvision's: eject can't write it")
    return _sequential(model, network)


def _sequential(model: Model, network: nn.Module) -> NetworkCode:
    made = NetworkCode([], imports=["from collections import OrderedDict"])
    parts = [(path, layer, part) for path, layer in _leaves(network) for part in _parts(layer)]
    total = Counter(kind for _, _, (kind, _, _) in parts)
    layers: list[Call] = []
    counted: Counter[str] = Counter()
    for path, layer, (kind, part, owner) in parts:
        counted[kind] += 1
        name = kind if total[kind] == 1 else f"{kind}{counted[kind]}"
        name = "head" if path == "head" and kind == "linear" else name
        layers.append(named(name, part))
        if owner is not None:
            made.names[name] = f"{path}{owner}"
        if isinstance(layer, (Maxout, ScaledHead)):
            source = MAXOUT if isinstance(layer, Maxout) else SCALE
            made.classes += [] if source in made.classes else [source]
    begun = _beginnings(model, made)
    made.build = [
        *Call("OrderedDict", tuple(layers)).lines(4, "layers = "),
        *(["    model = nn.Sequential(layers)", *begun, "    return model"] if begun else _RETURNED),
    ]
    return made


def _leaves(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers in the order in which they are called."""
    for path, layer in network.named_children():
        if isinstance(layer, nn.Sequential):
            yield from ((f"{path}.{inner}", leaf) for inner, leaf in _leaves(layer))
        elif isinstance(layer, Whitening):
            yield f"{path}.conv", layer.conv
            yield f"{path}.activation", layer.activation
        else:
            yield path, layer


def _parts(layer: nn.Module) -> list[tuple[str, Call, str | None]]:
    """Return (kind, source, where its weights lie below the layer's own name, None without any) of a layer."""
    if isinstance(layer, GlobalPool):
        pool = "nn.AdaptiveMaxPool2d" if layer.pooling == "max" else "nn.AdaptiveAvgPool2d"
        return [("pool", call(pool, 1), None), ("flatten", call("nn.Flatten"), None)]
    if isinstance(layer, Maxout):
        return [("maxout", call("Maxout"), None)]
    if isinstance(layer, ScaledHead):
        linear = call("nn.Linear", layer.in_features, layer.out_features, bias=False)
        return [("linear", linear, ""), ("scale", call("Scale", layer.scale), None)]
    kind = LAYERS[type(layer)][0]
    return [(kind, layer_call(layer), "" if layer.state_dict() else None)]


def _beginnings(model: Model, made: NetworkCode) -> list[str]:
    """Return the lines that change the first weights, or freeze some."""
    if not isinstance(model, Cnn):
        return []
    lines = []
    convs = {path: name for name, path in made.names.items() if name.startswith("conv")}
    if model.init == "identity":
        made.left_out.append("the first weights of convolutions are torch's (the run let their first filters pass on)")
    if model.whitening is not None:
        name = convs["whitening.conv"]
        lines.append(f"    model.{name}.weight.requires_grad_(False)")
        made.left_out.append("the frozen whitening layer is random here (the run computed it from train images)")
    if model.batch_norm and not model.norm_scale:
        lines += ["    for layer in model:", "        if isinstance(layer, nn.BatchNorm2d):"]
        lines += ["            layer.weight.requires_grad_(False)"]
    if model.head_scale is not None:
        lines.append("    model.head.weight.data /= model.head.weight.data.std()")
    return lines
