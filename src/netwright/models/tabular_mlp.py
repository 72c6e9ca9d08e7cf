"""`tabular_mlp`: a network for the rows of a table, after K. He et al. (2016) for the skip connections.

State dict: `features.embeddings.<n>.weight`, `blocks.<n>.…`, `linear.…`, `head.…`."""

from collections import OrderedDict

from torch import Tensor, nn

from netwright.config.models import TabularMlp
from netwright.models.chain import Chain, Chained, can_chain, layers_of, run_chain
from netwright.models.layers import ACTIVATIONS, output_layer, pieces_for
from netwright.models.request import Request
from netwright.models.row_features import EmbeddedFeatures


class TabularNetwork(nn.Module):
    """Rows (B, D) -> outputs (B, num_outputs): features, blocks of hidden layers, a Linear.

    With `skip` a block's input is added to what it gives where both are as wide, and a Linear of the features to the
    outputs, so that what a linear model finds is there from the first step on."""

    begins_as_linear = False  # `row_output.begin_as_linear` was here
    _chained: Chained | None = None

    def __init__(self, model: TabularMlp, request: Request) -> None:
        super().__init__()
        self.features = EmbeddedFeatures(request.in_channels, request.categories, model.embedding_size)
        num_features = self.features.num_outputs
        widths = (num_features, *model.hidden_sizes)
        pairs = list(zip(widths, model.hidden_sizes, strict=False))
        self.blocks = nn.ModuleList(_block(model, before, after) for before, after in pairs)
        self.adds = [model.skip and before == after for before, after in pairs]
        self.head = nn.Linear(widths[-1], request.num_outputs)
        self.linear = nn.Linear(num_features, request.num_outputs, bias=False) if model.skip else None
        self.output = output_layer(request.output, request.num_outputs)

    def forward(self, rows: Tensor) -> Tensor:
        features = self.features(rows)
        chained = self._chain() if can_chain(self, features) else None
        if chained is None or chained.layers is None or chained.is_hooked:
            outputs = self._layer_by_layer(features)
        else:
            assert isinstance(self.head, nn.Linear)
            outputs = run_chain(features, chained.layers, self.head, self.linear)
        return outputs if self.output is None else self.output(outputs)

    def whole_chain(self) -> tuple[nn.Module, Chain] | None:
        chained = self._chain()
        if chained.layers is None or chained.is_hooked or self.output is not None:
            return None
        assert isinstance(self.head, nn.Linear)
        return self.features, Chain(chained.layers, self.head, self.linear)

    def _chain(self) -> Chained:
        parts = (self.blocks, self.head)
        if self._chained is None or not self._chained.is_of(parts):
            layers = layers_of(self.blocks, self.adds)
            self._chained = Chained(self, parts, layers if isinstance(self.head, nn.Linear) else None)
        return self._chained

    def _layer_by_layer(self, features: Tensor) -> Tensor:
        hidden = features
        for block, adds in zip(self.blocks, self.adds, strict=True):
            hidden = hidden + block(hidden) if adds else block(hidden)
        outputs: Tensor = self.head(hidden)
        return outputs if self.linear is None else outputs + self.linear(features)


def build_tabular_mlp(model: TabularMlp, request: Request) -> nn.Module:
    """Build a network for rows."""
    return TabularNetwork(model, request)


def _block(model: TabularMlp, before: int, after: int) -> nn.Module:
    width = after * pieces_for(model.activation)
    layers: OrderedDict[str, nn.Module] = OrderedDict(linear=nn.Linear(before, width))
    if model.batch_norm:
        layers["norm"] = nn.BatchNorm1d(width)
    layers["activation"] = ACTIVATIONS[model.activation]()
    if model.dropout:
        layers["dropout"] = nn.Dropout(model.dropout)
    return nn.Sequential(layers)
