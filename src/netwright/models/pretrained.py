"""Weights from elsewhere, with what belongs to them: the size and the normalisation of the images that they saw."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from netwright.config.models import AlexNet, Head, Model, TorchvisionModel, Unet
from netwright.errors import RecipeError, did_you_mean, listed
from netwright.models.download import check_hash, fetch_weights
from netwright.models.segmentation_models import segmentation_names
from netwright.models.timm_models import TIMM, published_timm, timm_preprocessing
from netwright.models.torchvision_models import architecture_names
from netwright.models.weights_file import read_weights_file

# torchvision trained them on pixels in [-1, 1], and its `transform_input` undoes ImageNet's normalisation for that
_IN_ONE = ("googlenet", "inception_v3")


@dataclass(frozen=True)
class Preprocessing:
    """Images as weights know them: (height, width) in pixels, the short side before that is cut out, mean and std of
    pixels in [0, 1], one a channel."""

    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | None = None

    @property
    def channels(self) -> int:
        return len(self.mean)


@dataclass(frozen=True)
class Pretrained:
    """Weights by name, where they come from, and what is known of them.

    `name` stands in the recipe; `model_name`, `head` and `class_names` are known of our own runs: the head is taken
    over where the classes are the same."""

    name: str
    title: str
    weights: "OrderedDict[str, Tensor]"
    sha256: str
    preprocessing: Preprocessing | None = None
    in_channels: int = 3
    head: Head | None = None
    class_names: tuple[str, ...] | None = None
    model_name: str | None = None
    notices: tuple[str, ...] = ()


def open_published(model: Model, say: Callable[[str], None] | None = None) -> Pretrained:
    """Open the published weights that a model names: `default` (the best), or torchvision's name of others.

    Raises RecipeError when there are none of that name, MachineError when they can't be fetched."""
    if model.name.startswith(TIMM):
        weights, preprocessing, digest, title = published_timm(model, say)
        return Pretrained(model.weights, title, weights, digest, Preprocessing(*preprocessing))
    chosen = _torchvision_weights(model)
    path = fetch_weights(chosen.url, say)
    file = read_weights_file(path)
    check_hash(path, file.sha256)
    found = _torchvision_preprocessing(_published_name(model), chosen)
    return Pretrained(chosen.name, f"torchvision's {chosen.name}", file.weights, file.sha256, found)


def open_file(model: Model, path: Path) -> Pretrained:
    """Open a weights file for a model; its images are taken to be as torchvision's (timm's) own weights have them.

    Raises WeightsError when it can't be read."""
    file = read_weights_file(path)
    if model.name.startswith(TIMM):
        found: Preprocessing | None = Preprocessing(*timm_preprocessing(model.name))
        notice = f"image size and normalisation are those of timm's weights for {model.name.removeprefix(TIMM)}"
    elif name := _published_name(model):
        found = _torchvision_preprocessing(name, _weights_of(name).DEFAULT)
        notice = f"image size and normalisation are those of torchvision's weights for {name}"
    else:
        return Pretrained(str(path), str(path), file.weights, file.sha256, notices=file.notices)
    return Pretrained(str(path), str(path), file.weights, file.sha256, found, notices=(*file.notices, notice))


def _published_name(model: Model) -> str:
    """Return the name under which torchvision has weights for a network, or for its encoder; nothing without any."""
    name = model.name if isinstance(model, (AlexNet, TorchvisionModel)) else ""
    name = (model.encoder or "") if isinstance(model, Unet) else name
    return name if name in (*architecture_names(), *segmentation_names()) else ""


def _weights_of(name: str) -> Any:
    import torchvision.models

    return torchvision.models.get_model_weights(name)


def _torchvision_weights(model: Model) -> Any:
    name = _published_name(model)
    if not name:
        raise RecipeError(
            f"`model.weights` is {model.weights!r} and there are no published weights for {model.name!r}; take one of "
            "torchvision's networks, such as --model resnet18, or --weights none"
        )
    known = _weights_of(name)
    if model.weights == "default":
        return known.DEFAULT
    names = [each.name for each in known]
    if model.weights not in names:
        raise RecipeError(
            f"`model.weights` is {model.weights!r}{did_you_mean(model.weights, names)}, which is no file, no run, and "
            f"not one of torchvision's for {name}: {listed(names)}"
        )
    return known[model.weights]


def _torchvision_preprocessing(name: str, weights: Any) -> Preprocessing:
    transform = weights.transforms()
    (resize,) = transform.resize_size
    (size,) = getattr(transform, "crop_size", transform.resize_size)  # segmentation networks are given whole images
    mean, std = tuple(transform.mean), tuple(transform.std)
    if name in _IN_ONE:
        mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    return Preprocessing((size, size), mean, std, resize)
