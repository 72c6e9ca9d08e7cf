"""A network cut where its trained part begins: images -> features without gradient, features -> logits with weights."""

import hashlib
import inspect
from importlib.metadata import version
from typing import Any

from torch import Tensor, nn

from netwright.models.backbone import find_head, split

_WITHOUT_WEIGHTS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d, nn.Flatten, nn.Identity)


class FeatureHead(nn.Module):
    """A network's head, features (B, …) -> logits (B, K); its weights have the names that they have in the network.

    The modules are the network's own: what is trained here is trained there."""

    def __init__(self, network: nn.Module, layers: list[nn.Module]) -> None:
        super().__init__()
        for path in find_head(network).paths:
            parent: nn.Module = self
            *outer, name = path.split(".")
            for part in outer:
                if part not in parent._modules:
                    parent.add_module(part, nn.Module())
                parent = parent.get_submodule(part)
            parent.add_module(name, network.get_submodule(path))
        self._layers = layers  # in the order of the pass; registered above, by their names

    def forward(self, features: Tensor) -> Tensor:
        for layer in self._layers:
            features = layer(features)
        return features

    @property
    def linear(self) -> nn.Linear | None:
        """The one layer with weights, if the head is a linear function of features (B, D), but for dropout."""
        layers = [layer for layer in self._layers if not isinstance(layer, (nn.Dropout, nn.Identity))]
        return layers[0] if len(layers) == 1 and isinstance(layers[0], nn.Linear) else None


def cut(network: nn.Module) -> tuple[nn.Module, FeatureHead]:
    """Return what makes the features, up to the first layer of the head that has weights or is random, and the rest.

    Pooling is on the side of the features, which it makes 169 times smaller in SqueezeNet. Raises RecipeError when no
    head is found."""
    backbone, head = split(network)
    layers = _flat(head)
    pooled: list[nn.Module] = []
    while layers and _is_fixed(layers[0]):
        pooled.append(layers.pop(0))
    return nn.Sequential(backbone, *pooled), FeatureHead(network, layers)


def _flat(module: nn.Module) -> list[nn.Module]:
    """Return the modules that a head calls one after the other."""
    if not isinstance(module, nn.Sequential):
        return [module]
    return [layer for child in module.children() for layer in _flat(child)]


def _is_fixed(layer: nn.Module) -> bool:
    """Say whether a layer is a function without weights, the same in training."""
    return isinstance(layer, _WITHOUT_WEIGHTS)


def describe_backbone(backbone: nn.Module) -> dict[str, Any]:
    """Return what decides a backbone's features, for a key: a hash of its weights, its layers and their code."""
    weights, code = hashlib.sha256(), hashlib.sha256(repr(backbone).encode())
    for name, value in sorted(backbone.state_dict().items()):
        weights.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        weights.update(value.detach().cpu().contiguous().numpy().data)
    kinds = {type(module) for module in backbone.modules()}
    for kind in sorted(kinds, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}"):
        if not kind.__module__.startswith("torch."):
            code.update(_source(kind).encode())
    return {"weights": weights.hexdigest(), "code": code.hexdigest(), "torchvision": version("torchvision")}


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # made in a notebook or by a program
        return f"{kind.__module__}.{kind.__qualname__}"
