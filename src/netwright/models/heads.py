"""Heads of ours in the place of an architecture's own.

`linear` keeps the architecture's names (`fc.weight`, `classifier.6.weight`, …); `hidden` and `concat_pool` put a
`HeadLayers` there. SqueezeNet, whose own head is a convolution over all places, gets global average pooling before it.
"""

import itertools
from collections import OrderedDict

import torch
from torch import Tensor, nn

from netwright.config.models import Head
from netwright.errors import RecipeError
from netwright.models.backbone import Backbone, HeadLayers, HeadPlace, class_layer, find_head
from netwright.models.layers import hidden_layers
from netwright.models.request import Request
from netwright.models.shapes import output_of

HIDDEN_SIZES = (512,)
CONCAT_DROPOUT = 0.5
# the module after which an architecture takes the mean over all places inside its `forward`
_POOLS_AFTER = {"DenseNet": "features", "MobileNetV2": "features", "MNASNet": "layers", "ShuffleNetV2": "conv5"}
_POOLS_IN_HEAD = ("SqueezeNet", "MaxVit")


class ConcatPool(nn.Module):
    """Mean and maximum over all places, side by side: (B, C, H, W) -> (B, 2C, 1, 1)."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features.mean((2, 3), keepdim=True), features.amax((2, 3), keepdim=True)], dim=1)


def put_head(network: nn.Module, head: Head, request: Request) -> None:
    """Give a network another head, in place; `own` leaves it as it is.

    Raises RecipeError when the network has no head to be found, or `concat_pool` no places to pool over."""
    if head.name == "concat_pool":
        _put_concat_pool(network, head, request)
    elif head.name != "own":
        place = _flat_place(network, head.dropout if head.name == "linear" else None)
        old = class_layer(network, place)
        assert isinstance(old, nn.Linear)
        features, outputs, name = old.in_features, request.num_outputs, _path_of(network, old)
        last = nn.Linear(features, outputs) if head.name == "linear" else _layers(head, features, outputs)
        network.set_submodule(name, last)


def _layers(head: Head, num_features: int, num_outputs: int) -> HeadLayers:
    """Build hidden layers and a Linear: features (B, num_features) -> (B, num_outputs)."""
    sizes = HIDDEN_SIZES if head.sizes is None else head.sizes
    hidden = hidden_layers(num_features, sizes, head.activation, bool(head.batch_norm), head.dropout or 0.0)
    return HeadLayers(OrderedDict(hidden=hidden, head=nn.Linear(sizes[-1], num_outputs)))


def _flat_place(network: nn.Module, dropout: float | None) -> HeadPlace:
    """Return the head's place where its class layer is a Linear; the dropout before that becomes `dropout`."""
    place = find_head(network)
    if isinstance(class_layer(network, place), nn.Conv2d):
        _pool_before_head(network, nn.AdaptiveAvgPool2d(1))
        return _flat_place(network, dropout)
    for path in place.paths:
        if isinstance(network.get_submodule(path), (nn.Dropout, nn.Identity)):
            network.set_submodule(path, nn.Dropout(dropout) if dropout else nn.Identity())
            dropout = None
    if dropout:  # the architecture has none there
        old = class_layer(network, place)
        assert isinstance(old, nn.Linear)
        layers = OrderedDict(dropout=nn.Dropout(dropout), head=nn.Linear(old.in_features, old.out_features))
        network.set_submodule(_path_of(network, old), HeadLayers(layers))
        return find_head(network)
    return place


def _pool_before_head(network: nn.Module, pool: nn.Module) -> None:
    """Let `classifier` be pooling and a Linear, over the channels that its convolution had."""
    old = class_layer(network, find_head(network))
    assert isinstance(old, nn.Conv2d)
    head = nn.Linear(old.in_channels, old.out_channels)
    network.set_submodule("classifier", nn.Sequential(OrderedDict(pool=pool, flatten=nn.Flatten(), head=head)))


def _put_concat_pool(network: nn.Module, head: Head, request: Request) -> None:
    place = find_head(network)
    top = place.paths[0].split(".")[0]
    kind = type(network).__name__
    if hasattr(network, "pretrained_cfg"):  # timm's networks pool so by themselves, see build_timm
        old = class_layer(network, place)
        assert isinstance(old, nn.Linear)
        network.set_submodule(_path_of(network, old), _concat_layers(head, old.in_features, request.num_outputs))
        return
    if kind in _POOLS_IN_HEAD:
        network.set_submodule(
            top, nn.Sequential(OrderedDict(pool=ConcatPool(), flatten=nn.Flatten(), head=HeadLayers()))
        )
        where = f"{top}.head"
    else:
        _pool_both(network, kind)
        network.set_submodule(top, HeadLayers())
        where = top
    backbone = Backbone(network, find_head(network))
    num_features = output_of(backbone, request.in_channels, request.image_size).flatten(1).shape[1]
    network.set_submodule(where, _concat_layers(head, num_features, request.num_outputs))


def _pool_both(network: nn.Module, kind: str) -> None:
    """Put ConcatPool in the place of a network's average pooling, or before it: of one place the mean is itself."""
    after = _POOLS_AFTER.get(kind)
    if after is not None:
        features = network.get_submodule(after)
        assert isinstance(features, nn.Sequential)
        if kind == "DenseNet":  # its ReLU comes after `features`: once more, which changes nothing, it comes before too
            features.add_module("relu", nn.ReLU(inplace=True))
        features.add_module("concat_pool", ConcatPool())
    elif isinstance(getattr(network, "avgpool", None), nn.AdaptiveAvgPool2d):
        network.set_submodule("avgpool", ConcatPool())
    else:
        raise RecipeError(
            f"`model.head` is 'concat_pool' and {kind} does not pool over places before its head; use linear or hidden"
        )


def _concat_layers(head: Head, num_features: int, num_outputs: int) -> HeadLayers:
    """Build batch norm, dropout, Linear, activation in turn, with half the dropout before each but the last Linear."""
    sizes = HIDDEN_SIZES if head.sizes is None else head.sizes
    dropout = CONCAT_DROPOUT if head.dropout is None else head.dropout
    batch_norm = head.batch_norm is not False
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for place, (wide, size) in enumerate(itertools.pairwise((num_features, *sizes))):
        layers[f"before_{place}"] = _regularized(wide, batch_norm, dropout / 2)
        layers[f"hidden_{place}"] = hidden_layers(wide, (size,), head.activation, False, 0.0)
    last = (num_features, *sizes)[-1]
    layers["before_head"] = _regularized(last, batch_norm, dropout)
    layers["head"] = nn.Linear(last, num_outputs)
    return HeadLayers(layers)


def _regularized(num_features: int, batch_norm: bool, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = [nn.BatchNorm1d(num_features)] if batch_norm else []
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))


def _path_of(network: nn.Module, wanted: nn.Module) -> str:
    paths: list[str] = [path for path, module in network.named_modules() if module is wanted]
    return paths[0]
