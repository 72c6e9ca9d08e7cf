"""One of torchvision's networks as the way down of a U-Net, as source."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torchvision.models
from torch import nn

from netwright.config.models import Unet
from netwright.deployment.eject.code import Call, call, source, text
from netwright.deployment.eject.layers import layer_call
from netwright.deployment.eject.torchvision_network import is_published, place
from netwright.errors import InputError
from netwright.models.encoder import Encoder
from netwright.models.torchvision_models import fixed_arguments
from netwright.models.unet import UNet


@dataclass
class EncoderCode:
    """Lines of constants, of the constructor, and of what calls its stages; `pretrained`: the published weights that
    training begins with."""

    constants: list[str]
    build: str
    forward: str
    pretrained: str = ""


def encoder_code(model: Unet, network: nn.Module, in_channels: int) -> EncoderCode:
    """Write it. Raises InputError for a number of channels that its first layer was not made for."""
    assert isinstance(network, UNet) and isinstance(network.encoder, Encoder) and model.encoder is not None
    encoder = network.encoder
    published = is_published(model.encoder, model.weights)
    pretrained = ("DEFAULT" if model.weights == "default" else model.weights) if published else ""
    fixed = {} if published else fixed_arguments(model.encoder, (256, 256))
    plain = torchvision.models.get_model(model.encoder, weights=None, **fixed)
    shown = ("weights=weights",) if published else ()
    made = call(f"models.{model.encoder}", **fixed)
    build = Call(made.name, (*shown, *made.parts)).lines(8, "self.encoder = ")
    build += _first_layer(encoder, in_channels, published)
    there = dict(encoder.named_children())
    build += [f"        self.encoder.{name} = nn.Identity()" for name, child in plain.named_children()
              if name not in there and any(True for _ in child.parameters())]  # fmt: skip
    slices = _slices(encoder)
    forward = "\n".join(_forward(encoder, bool(slices)))
    return EncoderCode(_constants(model, encoder, slices), "\n".join(build), forward, pretrained)


def _constants(model: Unet, encoder: Encoder, slices: Sequence[tuple[int, int]]) -> list[str]:
    widths = [model.width * 2**level for level in range(len(encoder.factors))]
    below = [*widths[1:], encoder.channels[-1]]
    levels: list[Any] = list(zip(below, encoder.channels[:-1], widths, encoder.factors, strict=True))
    stages = tuple(map(str, slices)) if slices else tuple(text(" ".join(paths)) for paths in encoder.paths)
    return [
        *Call("", stages, "()").lines(0, "STAGES = "),
        *Call("", tuple(str(source(level)) for level in levels), "()").lines(0, "LEVELS = "),
    ]


def _slices(encoder: Encoder) -> list[tuple[int, int]]:
    """Return which part of `features` each stage is; nothing for a network that is not one such sequence."""
    features = getattr(encoder, "features", None)
    if not isinstance(features, nn.Sequential):
        return []
    order = [f"features.{name}" for name, _ in features.named_children()]
    paths = [path for stage in encoder.paths for path in stage]
    if paths != order[: len(paths)]:
        return []
    ends = list(accumulate(map(len, encoder.paths)))
    return list(zip([0, *ends], ends, strict=False))


def _first_layer(encoder: Encoder, in_channels: int, published: bool) -> list[str]:
    """Return the lines that make the first convolution one over gray images."""
    if in_channels == 3:
        return []
    path, conv = next((path, layer) for path, layer in encoder.named_modules() if isinstance(layer, nn.Conv2d))
    if in_channels != 1:
        raise InputError(f"the images have {in_channels} channels, and eject writes an encoder for 1 or 3")
    first = f"self.encoder{place(path)}"
    lines = layer_call(conv).lines(8, f"{first} = ")
    if not published:
        return lines
    # the sum of the kernels of three colours sees a gray image as they did
    return [f"        kernels = {first}.weight.sum(dim=1, keepdim=True)", *lines,
            f"        {first}.weight = nn.Parameter(kernels.detach())"]  # fmt: skip


def _forward(encoder: Encoder, in_slices: bool) -> list[str]:
    """Return the lines that make `values` of the last stage's, and `levels` of all before it."""
    of_stage = ["        for stage in STAGES:", "            for path in stage.split():"]
    of_stage += ["                values = self.encoder.get_submodule(path)(values)"]
    if in_slices:
        of_stage = [
            "        for first, end in STAGES:",
            "            values = self.encoder.features[first:end](values)",
        ]
    if encoder.starts_at_full_size:
        return [*of_stage, "            levels.append(values)", "        values = levels.pop()"]
    return [of_stage[0], "            levels.append(values)", *of_stage[1:]]
