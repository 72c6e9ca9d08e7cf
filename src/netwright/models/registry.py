"""Which builder makes which model, and how a user adds a name of their own.

A registered name is used in a recipe like torchvision's: `model: {name: tiny, arguments: {width: 8}}`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from netwright.config.models import (
    MODELS,
    AlexNet,
    Cnn,
    CustomModel,
    Linear,
    Mlp,
    Model,
    TabularMlp,
    TorchvisionModel,
    Unet,
)
from netwright.errors import RecipeError, did_you_mean
from netwright.models.alexnet import build_alexnet
from netwright.models.cnn import build_cnn
from netwright.models.mlp import build_linear, build_mlp
from netwright.models.request import Request
from netwright.models.segmentation_models import build_segmentation, segmentation_names
from netwright.models.tabular_mlp import build_tabular_mlp
from netwright.models.timm_models import TIMM, build_timm
from netwright.models.torchvision_models import architecture_names, build_torchvision, needs_logits
from netwright.models.unet import build_unet

Builder = Callable[[Any, Request], nn.Module]
UserBuilder = Callable[..., nn.Module]
U = TypeVar("U", bound=UserBuilder)

BUILDERS: dict[type[Model], Builder] = {
    Linear: build_linear,
    Mlp: build_mlp,
    TabularMlp: build_tabular_mlp,
    Cnn: build_cnn,
    AlexNet: build_alexnet,
    Unet: build_unet,
    TorchvisionModel: build_torchvision,
}
_REGISTERED: dict[str, UserBuilder] = {}


def register(name: str) -> Callable[[U], U]:
    """Make `name` a model: decorates `(*, in_channels, image_size, num_outputs, **arguments) -> nn.Module`.

    The module gives logits. The name lives as long as the process: whatever loads the run later has to register it
    again. Raises RecipeError when a built-in model or one of torchvision has the name already."""

    def keep(builder: U) -> U:
        if name in MODELS.parts or name in (*torchvision_names(), *segmentation_names()):
            raise RecipeError(f"the model name {name!r} is taken by a built-in model; register under another name")
        _REGISTERED[name] = builder
        return builder

    return keep


def torchvision_names() -> list[str]:
    """Return torchvision's classification architectures by name, without those that a built-in model stands for."""
    return [name for name in architecture_names() if name not in MODELS.parts]


def builder_for(model: Model) -> Builder:
    """Return the builder of a model. Raises RecipeError when the name is unknown or the model is an object."""
    if isinstance(model, CustomModel):
        raise RecipeError(
            f"`model.name` is 'custom': the network was an object of the user's own ({model.type or 'unknown type'}), "
            "which no file holds; give the object again, as in nw.load(path, model=…)"
        )
    if not isinstance(model, TorchvisionModel):
        return BUILDERS[type(model)]
    if model.name in _REGISTERED:
        return _build_registered
    if model.name.startswith(TIMM):
        return build_timm
    if model.name in segmentation_names():
        return build_segmentation
    if model.name not in architecture_names():
        built_in = [name for name in MODELS.parts if name != "custom"]
        known = [*built_in, *_REGISTERED, *architecture_names(), *segmentation_names()]
        raise RecipeError(
            f"`model.name` is {model.name!r}{did_you_mean(model.name, known)}; built in: {', '.join(built_in)}; "
            f"`netwright models` lists these and the {len(torchvision_names())} architectures of torchvision"
        )
    return BUILDERS[TorchvisionModel]


def _build_registered(model: TorchvisionModel, request: Request) -> nn.Module:
    needs_logits(model.name, request)
    try:
        return _REGISTERED[model.name](
            in_channels=request.in_channels,
            image_size=request.image_size,
            num_outputs=request.num_outputs,
            **model.arguments,
        )
    except TypeError as error:
        raise RecipeError(
            f"`model.arguments` is {model.arguments} and the builder of {model.name!r} says: {error}; "
            "give the arguments that it takes"
        ) from error
