"""The one way in: from the `model` section of a recipe to an `nn.Module`."""

import dataclasses
from typing import TypedDict

from torch import nn

from netwright.config.models import Head, Model, Output, Unet, gives_masks
from netwright.errors import RecipeError
from netwright.models.fitting import Fit, load_encoder, load_into
from netwright.models.heads import put_head
from netwright.models.input_channels import adapt_input_channels
from netwright.models.pretrained import Pretrained
from netwright.models.registry import builder_for
from netwright.models.request import Request


class Sizes(TypedDict):
    """What a network is built for: see `build_model`."""

    in_channels: int
    image_size: tuple[int, int]
    num_outputs: int
    output: Output


def build_model(
    model: Model,
    *,
    in_channels: int,
    image_size: tuple[int, int],
    num_outputs: int,
    output: Output,
    categories: tuple[int, ...] = (),
) -> nn.Module:
    """Build a network with fresh weights: images (B, in_channels, height, width) float32 -> (B, num_outputs) float32,
    or (B, num_outputs, height, width) of one for masks.

    `image_size` is (height, width) in pixels; `output` is what the criterion needs and gives way to the model's own
    `output` where that is set; `categories` are codes a category of rows (B, in_channels). The weights depend on
    torch's global generator only, which the caller seeds.

    Raises RecipeError when the name is unknown, an argument does not fit or the images have a size that the
    network can't take."""
    request = _request(model, in_channels, image_size, num_outputs, output)
    request = dataclasses.replace(request, categories=categories)
    network = builder_for(model)(model, request)
    put_head(network, model.head or Head(name="own"), request)
    return network


def build_pretrained(
    model: Model,
    pretrained: Pretrained,
    *,
    in_channels: int,
    image_size: tuple[int, int],
    num_outputs: int,
    output: Output,
    class_names: tuple[str, ...] | None = None,
) -> tuple[nn.Module, Fit]:
    """Build a network as `build_model` does, with weights from elsewhere; say how they fitted.

    The weights go into the network as it was when they were made: with their number of input channels, and with their
    run's head; both are changed then to what is asked for. The head is fresh where it is another, where the number of
    classes differs, and where the classes of a run of ours are others than `class_names`.

    Raises WeightsError, with the differences, for weights of another network, RecipeError as `build_model`."""
    wanted = _request(model, in_channels, image_size, num_outputs, output)
    request = dataclasses.replace(wanted, in_channels=pretrained.in_channels)
    network = builder_for(model)(model, request)
    if isinstance(model, Unet) and not any(name.startswith("encoder.") for name in pretrained.weights):
        fit = load_encoder(network, pretrained.weights, pretrained.title)
        if in_channels != pretrained.in_channels:
            _adapt(network, pretrained, in_channels)
        return network, fit
    old, new = pretrained.head or Head(name="own"), model.head or Head(name="own")
    if old != new and old.name == "concat_pool":
        raise RecipeError(
            f"`model.head` is {new.name!r} and the weights are of a network with the head 'concat_pool', whose pooling "
            "is its own; leave `model.head` out"
        )
    put_head(network, old, request)
    same_classes = pretrained.class_names is None or pretrained.class_names == class_names
    fit = load_into(
        network,
        pretrained.weights,
        pretrained.title,
        keep_head=same_classes and old == new,
        named=model.name,
        made_for=pretrained.model_name,
    )
    if in_channels != pretrained.in_channels:
        _adapt(network, pretrained, in_channels)
    if old != new:
        put_head(network, new, wanted)
    return network, fit


def _adapt(network: nn.Module, pretrained: Pretrained, in_channels: int) -> None:
    if pretrained.in_channels != 3:
        raise RecipeError(
            f"the images have {in_channels} channel(s) and {pretrained.title} is for {pretrained.in_channels}; set "
            f"`data.channels: {pretrained.in_channels}`"
        )
    adapt_input_channels(network, in_channels)


def _request(model: Model, in_channels: int, image_size: tuple[int, int], num_outputs: int, output: Output) -> Request:
    if gives_masks(model) and model.head not in (None, Head(name="own")):
        raise RecipeError(f"`model.head` is given and {model.name} gives masks by a head of its own; leave it out")
    wanted: Output = getattr(model, "output", None) or output
    return Request(in_channels=in_channels, image_size=image_size, num_outputs=num_outputs, output=wanted)
