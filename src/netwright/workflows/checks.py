"""What is tried before the first step and not found out after the last: own parts, sizes, the number to watch."""

import torch
from torch import nn

from netwright.config.models import AlexNet, Cnn, Model, TorchvisionModel
from netwright.config.recipe import Recipe
from netwright.data.augment.resolution import resized
from netwright.data.prepare import PreparedData
from netwright.errors import RecipeError, did_you_mean, listed
from netwright.models.build import Sizes
from netwright.models.registry import torchvision_names
from netwright.models.segmentation_models import segmentation_names
from netwright.models.shapes import output_of
from netwright.runtime.machine import Machine
from netwright.tasks.task import Task
from netwright.training.plan import Plan
from netwright.training.state import TrainingState


def check_masks(model: nn.Module, recipe: Recipe, size: Sizes) -> None:
    """Raise RecipeError for a network, such as a registered one, that gives no mask of the image's size."""
    shape = tuple(output_of(model, size["in_channels"], size["image_size"]).shape)
    expected = (2, size["num_outputs"], *size["image_size"])
    if shape != expected:
        raise RecipeError(
            f"`model.name` is {recipe.model.name!r}, which gives {shape} for two images, and masks are {expected}; use "
            "unet, or one of torchvision's segmentation networks"
        )


def check_own(plan: Plan, state: TrainingState, task: Task) -> None:
    """Try the user's own network and criterion on two images, before the first step and not after the last.

    Raises RecipeError when the outputs are not (B, num_outputs) or the loss is not one number."""
    batch = plan.train.batch(1, 0)
    images, targets = plan.machine.arrange(batch.images[:2]), batch.targets[:2]
    state.model.eval()
    with torch.no_grad():
        outputs = state.model(images)
        shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        expected = (len(images), task.num_outputs, *(images.shape[2:] if task.name == "segmentation" else ()))
        if shape != expected:
            raise RecipeError(
                f"the network gives {shape} for {tuple(images.shape)}; expected {expected}, "
                f"{'one number a class' if task.class_names else 'one number'}: change its last layer"
            )
        loss = plan.batch_loss(outputs, targets)[0]
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        raise RecipeError("the criterion does not give one number; expected the mean over the batch (reduction='mean')")


def check_resolutions(recipe: Recipe, prepared: PreparedData, state: TrainingState, machine: Machine) -> None:
    """Try the network on two images of every size that training will have.

    Raises RecipeError when they are larger than the images, or of a size that the network does not take."""
    channels, height, width = prepared.input_shape
    for side in sorted(set(recipe.training.resolutions)):
        if side > min(height, width):
            raise RecipeError(
                f"`training.resolutions` has {side} and the network's images are {height} × {width} pixels; the sides "
                "lead up to the full size and do not pass it"
            )
        images = resized(torch.zeros(2, channels, height, width, device=machine.device), side)
        state.model.eval()
        try:
            with torch.no_grad(), machine.autocast():
                state.model(machine.arrange(images))
        except (RuntimeError, ValueError) as error:
            first = str(error).split("\n")[0]
            raise RecipeError(
                f"`training.resolutions` has {side} and the network takes {height} × {width} pixels only ({first}); "
                "use one with global pooling (`model.global_pooling` of cnn), or leave the resolutions out"
            ) from error


def check_monitor(recipe: Recipe, plan: Plan) -> None:
    """Raise RecipeError when the history will not have the number to watch."""
    numbers = ["loss", *plan.task.recorded]
    known = [f"train_{name}" for name in numbers]
    if plan.val is not None:
        known += [*(f"val_{name}" for name in numbers), *(f"val_{name}" for name in plan.metrics)]
    monitor = recipe.training.monitor
    if monitor not in known and not (plan.val is None and monitor == "val_loss" and recipe.training.patience is None):
        raise RecipeError(
            f"`training.monitor` is {monitor!r}{did_you_mean(monitor, known)}; this run records: {listed(known)}"
        )


def check_takes_rows(model: Model) -> None:
    """Raise RecipeError for a network that takes images, where there are rows of a table."""
    of_torchvision = isinstance(model, TorchvisionModel) and model.name in (*torchvision_names(), *segmentation_names())
    if of_torchvision or isinstance(model, (AlexNet, Cnn)):
        raise RecipeError(
            f"`model.name` is {model.name!r}, which takes images, and these are rows of a table; use tabular_mlp, "
            "linear or mlp"
        )
