"""Where a network keeps its head, and the cut between it and the backbone.

The head is the class layer (the last one with weights) with what follows it and the dropout right before it. It lies in
`fc`, `classifier`, `heads` or `head`, at the end of a Sequential, or where timm says.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from netwright.errors import RecipeError

NAMES = ("fc", "classifier", "heads", "head")
_PASSES_ON = (nn.Dropout, nn.Identity)
_OF_TWO_SIZES = ("low_classifier", "high_classifier")  # LR-ASPP adds the scores of features of two sizes


class HeadLayers(nn.Sequential):
    """A head of ours with several layers: features (B, D), or what its pooling takes, -> logits (B, K)."""


@dataclass(frozen=True)
class HeadPlace:
    """The head's layers by name, in order, and the path of the module that holds them ("": the network itself)."""

    parent: str
    layers: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The layers' whole names."""
        return tuple(f"{self.parent}.{layer}" if self.parent else layer for layer in self.layers)

    def holds(self, name: str) -> bool:
        """Say whether a parameter, buffer or module of this name is the head's, or in it."""
        return any(name == path or name.startswith(f"{path}.") for path in self.paths)


def find_head(network: nn.Module) -> HeadPlace:
    """Find the head of a network: torchvision's, timm's, ours, or one that is built like these.

    Raises RecipeError when there is none to be found."""
    for path, module in network.named_modules():
        if isinstance(module, HeadLayers):
            return _with_what_follows(network, path)
    if isinstance(network, nn.Sequential):
        return _tail(network, "", network)
    declared = getattr(network, "default_cfg", None) or {}
    for name in (declared.get("classifier"), *NAMES):
        found = _submodule(network, name)
        if isinstance(found, nn.Sequential):
            return _tail(found, name or "", network)
        if isinstance(found, (nn.Linear, nn.Conv2d)):
            parent, _, last = (name or "").rpartition(".")
            return HeadPlace(parent, (last,))
        if found is not None and all(hasattr(found, layer) for layer in _OF_TWO_SIZES):
            return HeadPlace(name or "", _OF_TWO_SIZES)
    raise _headless(network)


def class_layer(network: nn.Module, place: HeadPlace) -> nn.Module | None:
    """Return the head's first layer with weights; None where it has none."""
    layers = (network.get_submodule(path) for path in place.paths)
    inner = (module for layer in layers for module in layer.modules())
    return next((module for module in inner if isinstance(module, (nn.Linear, nn.Conv2d))), None)


def split(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Cut a network into backbone, images (B, C, H, W) -> features (B, …), and head, features -> logits (B, K).

    Both share their modules with the network: weights, and whether they train or evaluate, are the same.
    Raises RecipeError when no head is found."""
    place = find_head(network)
    layers = OrderedDict(
        (name, network.get_submodule(path)) for name, path in zip(place.layers, place.paths, strict=True)
    )
    if len(layers) == 1 and not _keeps_places(network):
        return Backbone(network, place), next(iter(layers.values()))
    if _keeps_places(network):
        layers["flatten"] = nn.Flatten(1)
    return Backbone(network, place), nn.Sequential(layers)


class Backbone(nn.Module):
    """A network up to what its head is given: images (B, C, H, W) -> features (B, …)."""

    def __init__(self, network: nn.Module, place: HeadPlace) -> None:
        super().__init__()
        self._caught = _Caught()
        self.network = self._with_catcher(network, place.parent.split(".") if place.parent else [], place.layers)

    def _with_catcher(self, module: nn.Module, path: list[str], layers: tuple[str, ...]) -> nn.Module:
        """Copy the modules on the way to the head, and put the catcher in its place; all else is shared."""
        copied = module.__new__(type(module))
        copied.__dict__ = dict(module.__dict__)
        modules = dict(module._modules)
        if path:
            inner = modules[path[0]]
            assert inner is not None
            modules[path[0]] = self._with_catcher(inner, path[1:], layers)
        else:
            modules[layers[0]] = self._caught
            for name in layers[1:]:
                del modules[name]
        copied._modules = modules
        return copied

    def forward(self, images: Tensor) -> Tensor:
        self.network(images)
        features, self._caught.features = self._caught.features, None
        assert features is not None, "the head was called"
        return features


class _Caught(nn.Module):
    """Stands for the head: keeps what it is given, and hands it on."""

    def __init__(self) -> None:
        super().__init__()
        self.features: Tensor | None = None

    def forward(self, features: Tensor) -> Tensor:
        self.features = features
        return features


def _tail(sequential: nn.Sequential, parent: str, network: nn.Module) -> HeadPlace:
    """Find the head at the end of a Sequential."""
    children = list(sequential.named_children())
    with_weights = [place for place, (_, child) in enumerate(children) if next(child.parameters(), None) is not None]
    if not with_weights:
        raise _headless(network)
    start = with_weights[-1]
    name, last = children[start]
    if isinstance(last, nn.Sequential):
        return _tail(last, f"{parent}.{name}" if parent else name, network)
    if not isinstance(last, (nn.Linear, nn.Conv2d)):
        raise _headless(network)
    while start and isinstance(children[start - 1][1], _PASSES_ON):
        start -= 1
    return HeadPlace(parent, tuple(name for name, _ in children[start:]))


def _with_what_follows(network: nn.Module, path: str) -> HeadPlace:
    parent, _, name = path.rpartition(".")
    around = network.get_submodule(parent)
    if not isinstance(around, nn.Sequential):
        return HeadPlace(parent, (name,))
    names = [name for name, _ in around.named_children()]
    return HeadPlace(parent, tuple(names[names.index(name) :]))


def _keeps_places(network: nn.Module) -> bool:
    """SqueezeNet's own head is a convolution, and the network flattens what comes out of it."""
    place = find_head(network)
    return isinstance(class_layer(network, place), nn.Conv2d)


def _submodule(network: nn.Module, name: object) -> nn.Module | None:
    try:
        return network.get_submodule(name) if isinstance(name, str) and name else None
    except AttributeError:
        return None


def _headless(network: nn.Module) -> RecipeError:
    return RecipeError(
        f"{type(network).__name__} has no head to be found: no Linear as {', '.join(NAMES)}, or last in one of them; "
        "call the last layer `head`, or leave `freeze`, `head` and `weights` out"
    )
