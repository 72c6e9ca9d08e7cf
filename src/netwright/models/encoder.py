"""One of torchvision's classification networks as the way down of a U-Net.

Its stages (`models/stages.py`) are run one after the other, and what the last one of each size gives is a level.
"""

from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from torch import Tensor, nn

from netwright.config.models import TorchvisionModel
from netwright.errors import RecipeError
from netwright.models.request import Request
from netwright.models.shapes import output_of
from netwright.models.stages import stages_of
from netwright.models.torchvision_models import architecture_names, build_torchvision

PROBED = (256, 256)  # pixels of the image that shows which sizes the stages give
HALVED = 0.6  # of the side before: 111 of 224 is a halving, 147 of 149 is the loss of a convolution without padding


@dataclass(frozen=True)
class Part:
    """A part of the network: its path, and the channels and the side in pixels of what it gives for a probe."""

    path: str
    channels: int
    side: int


class Encoder(nn.Module):
    """Images (B, C, H, W) -> features of every size, the full size first (the images, where no layer keeps it).

    The parts have the names that they have in the network that they come from."""

    def __init__(self, network: nn.Module, levels: list[list[Part]], in_channels: int) -> None:
        super().__init__()
        for name, child in network.named_children():
            if any(part.path == name or part.path.startswith(f"{name}.") for level in levels for part in level):
                self.add_module(name, child)
        self.paths = [[part.path for part in level] for level in levels]
        self.starts_at_full_size = levels[0][0].side == PROBED[0]
        first = () if self.starts_at_full_size else (in_channels,)
        self.channels: tuple[int, ...] = (*first, *(level[-1].channels for level in levels))
        sides = [PROBED[0]] * len(first) + [level[-1].side for level in levels]
        self.factors = tuple(round(fine / coarse) for fine, coarse in pairwise(sides))

    def forward(self, images: Tensor) -> list[Tensor]:
        levels = [] if self.starts_at_full_size else [images]
        for paths in self.paths:
            for path in paths:
                images = self.get_submodule(path)(images)
            levels.append(images)
        return levels


def build_encoder(name: str, request: Request, depth: int | None) -> Encoder:
    """Build the encoder of torchvision's network `name`, its last `depth` halvings left out where it has more.

    Raises RecipeError for an unknown name, and for a network that is no chain of stages over places."""
    if name not in architecture_names():
        raise RecipeError(
            f"`model.encoder` is {name!r}; expected one of torchvision's classification networks, such as resnet18"
        )
    network = build_torchvision(TorchvisionModel(name=name), request)
    levels = _levels(_chain(network, name, request.in_channels))
    most = len(levels) - (levels[0][0].side == PROBED[0])
    if depth is not None and depth > most:
        raise RecipeError(f"`model.depth` is {depth} and {name} halves images {most} times; leave it out")
    kept = levels if depth is None else levels[: len(levels) - most + depth]
    return Encoder(network, kept, request.in_channels)


def _chain(network: nn.Module, name: str, in_channels: int) -> list[Part]:
    """Return the parts before the head's pooling. Raises RecipeError when they are not called one after the other."""
    stages = stages_of(network)[:-1]
    paths = [path for stage in stages for path in stage.modules]
    seen: dict[str, tuple[Any, Any]] = {}
    hooks = [
        network.get_submodule(path).register_forward_hook(
            lambda _, given, made, path=path: seen.__setitem__(path, (given[0], made))
        )
        for path in paths
    ]
    try:
        output_of(network, in_channels, PROBED)
    except (AssertionError, RuntimeError, ValueError):  # a ViT takes images of one size
        raise _no_encoder(name) from None
    finally:
        for hook in hooks:
            hook.remove()
    parts: list[Part] = []
    before = None
    for path in paths:
        if isinstance(network.get_submodule(path), (nn.AdaptiveAvgPool2d, nn.Flatten)):
            break
        given, made = seen[path]
        if (parts and given is not before) or not _is_square(made):
            raise _no_encoder(name)
        parts.append(Part(path, made.shape[1], made.shape[2]))
        before = made
    if not parts or any(stage.own_parameters for stage in stages) or parts[-1].side * 4 > PROBED[0]:
        raise _no_encoder(name)
    return parts


def _is_square(values: Any) -> bool:
    """Say whether a square image's features are (B, C, side, side), and not the channels last as in a Swin."""
    return isinstance(values, Tensor) and values.dim() == 4 and values.shape[2] == values.shape[3]


def _levels(parts: list[Part]) -> list[list[Part]]:
    """Put parts of one size together."""
    numbers, side = [], PROBED[0]
    for part in parts:
        if part.side <= HALVED * side:
            side = part.side
        numbers.append(side)
    pairs = zip(numbers, parts, strict=True)
    return [[part for _, part in group] for _, group in groupby(pairs, key=lambda pair: pair[0])]


def _no_encoder(name: str) -> RecipeError:
    return RecipeError(
        f"`model.encoder` is {name!r}, which is no chain of stages that halve the image; take resnet18, mobilenet_v2, "
        "squeezenet1_1, efficientnet_b0, densenet121, …"
    )
