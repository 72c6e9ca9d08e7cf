"""timm's networks as an extra (`pip install netwright[timm]`), by the names `timm/NAME`."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from netwright.config.models import Model, TorchvisionModel
from netwright.errors import RecipeError, did_you_mean
from netwright.files.hashing import sha256_file
from netwright.models.download import fetch_weights
from netwright.models.request import Request
from netwright.models.shapes import output_of

TIMM = "timm/"
PreprocessingFields = tuple[tuple[int, int], tuple[float, ...], tuple[float, ...], int]


def build_timm(model: TorchvisionModel, request: Request) -> nn.Module:
    """Build a network of timm's by its name, with `model.arguments` for its constructor.

    Raises RecipeError for names and arguments that timm does not know, and image sizes that it can't work on."""
    timm, name = _timm(), _checked_name(model.name)
    pooling = {"global_pool": "catavgmax"} if model.head is not None and model.head.name == "concat_pool" else {}
    arguments: dict[str, Any] = {**pooling, **model.arguments}
    fixed = {"num_classes": request.num_outputs, "in_chans": request.in_channels}
    # only networks that cut images into patches have a size of their own
    for size in ({}, {"img_size": request.image_size}):
        try:
            network: nn.Module = timm.create_model(name, pretrained=False, **fixed, **size, **arguments)
        except Exception as error:  # a constructor may fail in any way on a value that it was not made for
            if size:
                break
            raise RecipeError(
                f"`model.arguments` is {arguments} and timm's {name} says: {error}; give arguments that it takes"
            ) from error
        try:
            output_of(network, request.in_channels, request.image_size)
        except (RuntimeError, ValueError, AssertionError):
            continue
        return network
    (height, width), *_ = timm_preprocessing(model.name)
    raise RecipeError(
        f"`model.name` is {model.name!r}, which does not take images of {request.size_text}; set `data.image_size: "
        f"[{height}, {width}]`"
    )


def timm_preprocessing(name: str) -> PreprocessingFields:
    """Return image size (height, width), mean, std and the short side before the cut, as timm's weights have them."""
    found = _timm().data.resolve_data_config(pretrained_cfg=_configuration(name).to_dict())
    height, width = found["input_size"][1:]
    resize = int(min(height, width) / found["crop_pct"])
    return (height, width), tuple(found["mean"]), tuple(found["std"]), resize


def published_timm(
    model: Model, say: Callable[[str], None] | None = None
) -> tuple["OrderedDict[str, Tensor]", PreprocessingFields, str, str]:
    """Return timm's own weights, their preprocessing, their file's hash, and what they are called.

    Raises RecipeError when timm has none, MachineError when they can't be fetched."""
    if model.weights != "default":
        raise RecipeError(
            f"`model.weights` is {model.weights!r}, which is no file and no run; timm's are called by the network's "
            "name (timm/resnet50.a1_in1k): take `default`"
        )
    timm, name, configuration = _timm(), _checked_name(model.name), _configuration(model.name)
    if not configuration.has_weights:
        raise RecipeError(f"`model.name` is {model.name!r}, for which timm has no weights; take --weights none")
    kept = f"{configuration.architecture}.{configuration.tag}".rstrip(".")
    url = configuration.url
    if configuration.hf_hub_id:
        file_name = configuration.hf_hub_filename or "model.safetensors"
        url = f"https://huggingface.co/{configuration.hf_hub_id}/resolve/main/{file_name}"
        kept += Path(file_name).suffix
    else:
        kept = str(url).rpartition("/")[2]
    path = fetch_weights(url, say, name=kept)  # timm's own way there tries for a minute
    network: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    weights = OrderedDict((key, value.contiguous()) for key, value in network.state_dict().items())
    title = f"timm's {configuration.architecture}.{configuration.tag}".rstrip(".")
    return weights, timm_preprocessing(model.name), sha256_file(path), title


def _timm() -> ModuleType:
    try:
        import timm
        import timm.data
    except ImportError:
        raise RecipeError(
            "networks called timm/… need the package timm, which is not installed: pip install 'netwright[timm]'"
        ) from None
    found: ModuleType = timm
    return found


def _configuration(name: str) -> Any:
    return _timm().get_pretrained_cfg(_checked_name(name), allow_unregistered=False)


def _checked_name(name: str) -> str:
    """Return timm's own name for `timm/NAME`. Raises RecipeError when it has none such."""
    timm, wanted = _timm(), name.removeprefix(TIMM)
    if timm.is_model(wanted):
        return wanted
    near = did_you_mean(wanted.partition(".")[0], timm.list_models())
    raise RecipeError(
        f'`model.name` is {name!r}{near}, and timm has none of that name; `python -c "import timm; '
        'print(timm.list_models())"` lists them'
    )
