"""The layers of a network: name, kind, shape of the output, number of parameters, trained or frozen."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from netwright.inspection.eval_mode import in_eval_mode, like_weights, removing, tensors_in

MOST_ROWS = 40  # a table that fits a screen: ResNet-50 has 22 rows, its blocks folded
BATCH_SIZE = 2  # not 1, which batch norm over a single value refuses where it keeps no running statistics
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Layer:
    """One row: a module with all that is inside it, or (`own`) what a module holds itself beside its listed parts.

    `output_shapes`: one shape a tensor of its first answer; None stands for the number of images. `num_parameters`
    counts each tensor once in the whole table; `num_frozen` of them get no gradient. `num_calls` is 0 for a module
    that the forward pass does not use."""

    name: str
    kind: str
    output_shapes: tuple[Shape, ...]
    num_parameters: int
    num_frozen: int
    num_calls: int
    own: bool = False


@dataclass(frozen=True)
class Summary:
    """The layers in the order in which they are used; their parameters add up to the network's."""

    kind: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    num_parameters: int
    num_frozen: int
    depth: int

    def to_mapping(self) -> dict[str, Any]:
        """Return the record as JSON has it."""
        mapping = asdict(self)
        mapping["input_shape"] = list(self.input_shape)
        mapping["layers"] = [
            asdict(layer) | {"output_shapes": [list(shape) for shape in layer.output_shapes]} for layer in self.layers
        ]
        return mapping


@dataclass
class _Seen:
    """What the forward pass told of one module."""

    place: int | None = None
    num_calls: int = 0
    shapes: tuple[Shape, ...] = field(default=())


def summarize(network: nn.Module, input_shape: Sequence[int], *, depth: int | None = None) -> Summary:
    """List the layers of a network that takes images of `input_shape`, (C, H, W) without the batch.

    One forward pass of two black images in eval mode says the shapes; nothing of the network is changed. Modules deeper
    than `depth` (1: the network's direct parts) are counted with the one that holds them; None is the deepest that
    gives at most 40 rows. A module that is used under several names has the first."""
    seen = _look(network, tuple(input_shape))
    names = {id(module): name for name, module in network.named_modules()}
    rows = [] if depth is None else list(_rows(network, seen, depth))
    if depth is None:
        depth, rows = _deepest(network, seen)
    used = [place for place, (module, _) in enumerate(rows) if seen[id(module)].place is not None]
    used.sort(key=lambda place: seen[id(rows[place][0])].place or 0)
    order = [*used, *(place for place in range(len(rows)) if place not in set(used))]
    counted: set[int] = set()
    layers = tuple(_layer(*rows[place], names, seen, counted) for place in order)
    return Summary(
        type(network).__name__,
        tuple(input_shape),
        layers,
        sum(layer.num_parameters for layer in layers),
        sum(layer.num_frozen for layer in layers),
        depth,
    )


def _deepest(network: nn.Module, seen: dict[int, _Seen]) -> tuple[int, list[tuple[nn.Module, bool]]]:
    """Return the depth whose rows are as many as fit, and the rows."""
    depth, rows = 1, list(_rows(network, seen, 1))
    while True:
        deeper = list(_rows(network, seen, depth + 1))
        if len(deeper) > MOST_ROWS or deeper == rows:
            return depth, rows
        depth, rows = depth + 1, deeper


def _look(network: nn.Module, input_shape: tuple[int, ...]) -> dict[int, _Seen]:
    """Run the network once on black images; return what was seen of every module by its id."""
    seen = {id(module): _Seen() for module in network.modules()}
    entered = 0

    def enter(module: nn.Module, inputs: object) -> None:
        nonlocal entered
        if seen[id(module)].place is None:
            seen[id(module)].place = entered
            entered += 1

    def leave(module: nn.Module, inputs: object, outputs: object) -> None:
        noted = seen[id(module)]
        noted.num_calls += 1
        if noted.num_calls == 1:
            noted.shapes = tuple(_shape(tensor) for tensor in tensors_in(outputs))

    images = like_weights(network).new_zeros(BATCH_SIZE, *input_shape)
    handles = [module.register_forward_pre_hook(enter) for module in network.modules()]
    handles += [module.register_forward_hook(leave) for module in network.modules()]
    with removing(handles), in_eval_mode(network), torch.no_grad():
        network(images)
    return seen


def _shape(tensor: Tensor) -> Shape:
    shape = tuple(tensor.shape)
    return (None, *shape[1:]) if shape[:1] == (BATCH_SIZE,) else shape


def _rows(
    module: nn.Module, seen: dict[int, _Seen], depth: int, listed: set[int] | None = None
) -> Iterator[tuple[nn.Module, bool]]:
    """Give the modules that are rows, each with whether only what it holds itself counts.

    A module none of whose parts is called is not opened: attention uses its projection's weights without calling it."""
    listed = set() if listed is None else listed
    if id(module) in listed:
        return
    listed.add(id(module))
    parts = list(module.children())
    if depth == 0 or not any(seen[id(inner)].num_calls for part in parts for inner in part.modules()):
        yield module, False
        return
    if next(module.parameters(recurse=False), None) is not None:
        yield module, True
    for part in parts:
        yield from _rows(part, seen, depth - 1, listed)


def _layer(module: nn.Module, own: bool, names: dict[int, str], seen: dict[int, _Seen], counted: set[int]) -> Layer:
    """Describe one row; tensors in `counted` are another row's already."""
    fresh = [each for each in module.parameters(recurse=not own) if id(each) not in counted]
    counted.update(map(id, fresh))
    noted = seen[id(module)]
    return Layer(
        names[id(module)],
        type(module).__name__,
        noted.shapes,
        sum(each.numel() for each in fresh),
        sum(each.numel() for each in fresh if not each.requires_grad),
        noted.num_calls,
        own,
    )
