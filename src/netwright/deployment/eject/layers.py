"""Layers as source, and what a network's source consists of."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from netwright.deployment.eject.code import Call, call

MAXOUT = '''class Maxout(nn.Module):
    """The larger of two linear pieces: (B, 2C, ...) -> (B, C, ...)."""

    def forward(self, pieces):
        first, second = pieces.chunk(2, dim=1)
        return torch.maximum(first, second)
'''
SCALE = '''class Scale(nn.Module):
    """Multiply by a constant."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, features):
        return features * self.factor
'''
CONCAT_POOL = '''class ConcatPool(nn.Module):
    """Mean and maximum over all places, side by side."""

    def forward(self, features):
        mean = features.mean((2, 3), keepdim=True)
        return torch.cat([mean, features.amax((2, 3), keepdim=True)], dim=1)
'''
# what a layer is called, the arguments that come first, and the others with torch's defaults
LAYERS: dict[type[nn.Module], tuple[str, tuple[str, ...], dict[str, Any]]] = {
    nn.Conv2d: ("conv", ("in_channels", "out_channels"), {"kernel_size": None, "stride": 1, "padding": 0}),
    nn.Linear: ("linear", ("in_features", "out_features"), {}),
    nn.BatchNorm2d: ("norm", ("num_features",), {"eps": 1e-5, "momentum": 0.1}),
    nn.BatchNorm1d: ("norm", ("num_features",), {"eps": 1e-5, "momentum": 0.1}),
    nn.MaxPool2d: ("pool", ("kernel_size",), {"padding": 0}),
    nn.AvgPool2d: ("pool", ("kernel_size",), {"padding": 0}),
    nn.ZeroPad2d: ("pad", ("padding",), {}),
    nn.Dropout: ("dropout", ("p",), {}),
    nn.Identity: ("identity", (), {}),
    nn.AdaptiveAvgPool2d: ("pool", ("output_size",), {}),
    nn.Flatten: ("flatten", (), {}),
    nn.ReLU: ("relu", (), {}),
    nn.LeakyReLU: ("relu", (), {}),
    nn.ELU: ("elu", (), {}),
    nn.GELU: ("gelu", (), {}),
    nn.Tanh: ("tanh", (), {}),
    nn.Sigmoid: ("sigmoid", (), {}),
    nn.LogSoftmax: ("log_softmax", (), {"dim": None}),
    nn.Softmax: ("softmax", (), {"dim": None}),
}


@dataclass
class NetworkCode:
    """`build`: the lines inside of build_model; `classes`: layers that torch has not; `names`: what the bundle calls
    each layer with weights, where that differs; `left_out`: what the script does otherwise; `pretrained`: the published
    weights that training begins with; `unpublished`: others, which the script has not."""

    build: list[str]
    classes: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    pretrained: str = ""
    unpublished: str = ""


def layer_call(layer: nn.Module) -> Call:
    """Write one of torch's layers with the arguments that differ from torch's defaults."""
    _, first, others = LAYERS[type(layer)]
    given = [_plain(getattr(layer, name)) for name in first]
    keywords = {name: _plain(getattr(layer, name)) for name in others}
    keywords = {name: value for name, value in keywords.items() if value != others[name]}
    if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is None:
        keywords["bias"] = False
    return call(f"nn.{type(layer).__name__}", *given, **keywords)


def _plain(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
