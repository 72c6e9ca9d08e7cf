"""`linear` and `mlp`: networks that see an image as one long row of pixels.

State dict: `hidden.<layer>.linear.weight`, `hidden.<layer>.norm.weight`, `head.weight`.
"""

from collections import OrderedDict

from torch import Tensor, nn

from netwright.config.models import Linear, Mlp
from netwright.models.chain import Chain, Chained, can_chain, layers_of, run_chain
from netwright.models.layers import hidden_layers, output_layer
from netwright.models.request import Request
from netwright.models.row_features import OneHotFeatures


class FlatNetwork(nn.Sequential):
    """Hidden layers and head, which are one step of autograd where they can be, see `chain`."""

    _chained: Chained | None = None

    def forward(self, rows: Tensor) -> Tensor:
        chained = self._chain() if can_chain(self, rows) else None
        if chained is None or chained.layers is None or chained.is_hooked:
            outputs: Tensor = super().forward(rows)  # type: ignore[no-untyped-call]
            return outputs
        parts = self._modules
        flatten, head, output = parts["flatten"], parts["head"], parts.get("output")
        assert flatten is not None and isinstance(head, nn.Linear)
        outputs = run_chain(flatten(rows), chained.layers, head)
        return outputs if output is None else output(outputs)

    def whole_chain(self) -> tuple[nn.Module, Chain] | None:
        chained, parts = self._chain(), self._modules
        flatten, head = parts["flatten"], parts["head"]
        if chained.layers is None or chained.is_hooked or "output" in parts:
            return None
        assert flatten is not None and isinstance(head, nn.Linear)
        return flatten, Chain(chained.layers, head)

    def _chain(self) -> Chained:
        parts = (self._modules.get("hidden"), self._modules["head"])
        if self._chained is None or not self._chained.is_of(parts):
            hidden, head = parts
            layers = layers_of(hidden.children() if hidden is not None else ())
            self._chained = Chained(self, parts, layers if isinstance(head, nn.Linear) else None)
        return self._chained


def build_linear(model: Linear, request: Request) -> nn.Module:
    """Build softmax regression: flatten, one Linear."""
    return _flat_network(request, nn.Sequential(), _num_pixels(request))


def build_mlp(model: Mlp, request: Request) -> nn.Module:
    """Build a multi-layer perceptron: flatten, hidden layers, one Linear to the outputs."""
    num_pixels = _num_pixels(request)
    hidden = hidden_layers(num_pixels, model.hidden_sizes, model.activation, model.batch_norm, model.dropout)
    return _flat_network(request, hidden, (num_pixels, *model.hidden_sizes)[-1])


def _num_pixels(request: Request) -> int:
    height, width = request.image_size
    if request.categories:
        return OneHotFeatures(request.in_channels, request.categories).num_outputs
    return request.in_channels * height * width


def _flat_network(request: Request, hidden: nn.Sequential, num_features: int) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    if request.categories:
        layers["flatten"] = OneHotFeatures(request.in_channels, request.categories)
    if len(hidden):
        layers["hidden"] = hidden
    layers["head"] = nn.Linear(num_features, request.num_outputs)
    last = output_layer(request.output, request.num_outputs)
    if last is not None:
        layers["output"] = last
    return FlatNetwork(layers)
