"""Every classification architecture of torchvision, without pretrained weights, for the images at hand.

Whether an architecture takes a size is found by trying: the network runs once on torch's meta device (shapes only, no
memory, no arithmetic; 0.02 to 0.5 s), so that a size that is too small ends in a sentence and not inside a layer.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import nn

from netwright.config.models import TorchvisionModel
from netwright.errors import RecipeError
from netwright.models.input_channels import adapt_input_channels
from netwright.models.request import Request
from netwright.models.shapes import output_of

# Worked out from the data, or (aux_logits, transform_input) a second output and a colour shift that we don't use.
RESERVED = ("num_classes", "weights", "weights_backbone", "image_size", "input_size", "aux_logits", "transform_input")
MAXVIT_MULTIPLE = 7 * 2**5  # windows of 7 × 7 after a halving stem and four halving stages


@cache
def architecture_names() -> tuple[str, ...]:
    """Return the names of all of torchvision's classification architectures, sorted."""
    import torchvision.models  # takes about a second, which the built-ins need not wait for

    return tuple(sorted(torchvision.models.list_models(module=torchvision.models)))


def needs_logits(name: str, request: Request) -> None:
    """Raise RecipeError unless logits are wanted: networks that are not ours give nothing else."""
    if request.output != "logits":
        raise RecipeError(
            f"`model.name` is {name!r}, which gives logits, and the criterion takes "
            f"{request.output.replace('_', '-')}; use cross_entropy (or bce_with_logits for two classes)"
        )


def build_torchvision(model: TorchvisionModel, request: Request) -> nn.Module:
    """Build an architecture by its name in torchvision, with `model.arguments` for its constructor.

    Raises RecipeError for arguments that it does not take and image sizes that it can't work on."""
    needs_logits(model.name, request)
    reserved = [name for name in model.arguments if name in RESERVED]
    if reserved:
        raise RecipeError(
            f"`model.arguments.{reserved[0]}` is worked out from the data and the recipe and can't be set; leave it out"
        )
    _check_multiple(model.name, request)
    network = construct(model, request, fixed_arguments(model.name, request.image_size))
    if not _takes(network, request.in_channels, request.image_size):
        raise _too_small(network, model, request)
    return network


def construct(model: TorchvisionModel, request: Request, fixed: Mapping[str, Any]) -> nn.Module:
    """Call torchvision's constructor with the user's arguments over `fixed` ones; RecipeError when it refuses them."""
    import torchvision.models

    arguments: dict[str, Any] = {**fixed, **model.arguments}
    try:
        network: nn.Module = torchvision.models.get_model(
            model.name, weights=None, num_classes=request.num_outputs, **arguments
        )
    except Exception as error:  # a constructor may fail in any way on a value that it was not made for
        if not model.arguments:
            raise
        raise RecipeError(
            f"`model.arguments` is {model.arguments} and torchvision's {model.name} says: {error}; "
            "give arguments that its constructor takes"
        ) from error
    adapt_input_channels(network, request.in_channels)
    return network


def fixed_arguments(name: str, image_size: tuple[int, int]) -> dict[str, Any]:
    """Return the constructor's arguments that follow from the image's size and from how we train."""
    if name.startswith("vit_"):
        return {"image_size": image_size[0]}
    if name.startswith("maxvit_"):
        return {"input_size": image_size}
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "transform_input": False, "init_weights": True}
    return {}


def _check_multiple(name: str, request: Request) -> None:
    """Raise RecipeError where an architecture cuts the image into squares and the image does not divide into them."""
    height, width = request.image_size
    if name.startswith("vit_"):
        multiple, square = int(name.rsplit("_", 1)[1]), True
    elif name.startswith("maxvit_"):
        multiple, square = MAXVIT_MULTIPLE, False
    else:
        return
    if height % multiple or width % multiple or (square and height != width):
        nearest = max(1, round(min(height, width) / multiple)) * multiple
        raise RecipeError(
            f"`model.name` is {name!r}, which takes {'square ' if square else ''}images whose sides are multiples of "
            f"{multiple} pixels, and the images have {request.size_text}; set `data.image_size: {nearest}`"
        )


def _takes(network: nn.Module, in_channels: int, image_size: tuple[int, int]) -> bool:
    """Say whether the network can work on images of a size."""
    try:
        output_of(network, in_channels, image_size)
    except (RuntimeError, ValueError):  # "kernel size can't be greater than actual input", "output size is too small"
        return False
    return True


def _too_small(network: nn.Module, model: TorchvisionModel, request: Request) -> RecipeError:
    """Say which square size is the least that works, found by halving between 1 and 1024 pixels."""
    fails, works = 0, 1024
    if not _takes(network, request.in_channels, (works, works)):
        return RecipeError(
            f"`model.name` is {model.name!r} with {model.arguments}, which can't work on images of "
            f"{request.size_text}, nor on larger ones; leave `model.arguments` out or take another model"
        )
    while works - fails > 1:
        size = (fails + works) // 2
        if _takes(network, request.in_channels, (size, size)):
            works = size
        else:
            fails = size
    return RecipeError(
        f"`model.name` is {model.name!r}, which needs images of at least {works} × {works} pixels, and these have "
        f"{request.size_text}; set `data.image_size: {works}` or more, or take a smaller model, such as cnn"
    )
