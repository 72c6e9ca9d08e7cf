"""The one way in: from the `model` section of a recipe to an `nn.Module`."""

from torch import nn

from netwright.config.models import Model, Output
from netwright.models.registry import builder_for
from netwright.models.request import Request


def build_model(
    model: Model, *, in_channels: int, image_size: tuple[int, int], num_outputs: int, output: Output
) -> nn.Module:
    """Build a network with fresh weights: images (B, in_channels, height, width) float32 -> (B, num_outputs) float32.

    `image_size` is (height, width) in pixels; `output` is what the criterion needs and gives way to the model's own
    `output` where that is set. The weights depend on torch's global generator only, which the caller seeds.

    Raises RecipeError when the name is unknown, an argument does not fit or the images have a size that the
    network can't take."""
    wanted: Output = getattr(model, "output", None) or output
    request = Request(in_channels=in_channels, image_size=image_size, num_outputs=num_outputs, output=wanted)
    return builder_for(model)(model, request)
